//! Rows of "Sharing and callbacks" and of "Secrets".

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "B5: waiters are woken before the new token is published",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "                self.slot.publish(state, current.clone());",
        replace: r#"                if let Some(waiters) = state.flight.as_ref().map(|waiters| waiters.outcomes()) {
                    let _ = waiters.send(Ok(current.clone()));
                }
                self.slot.publish(state, current.clone());"#,
        caught_by: &["coordinator/tests/sharing.rs::whoever_wakes_finds_the_new_token_published"],
    },
    Fault {
        breaks: "B7: what happened is logged under the lock of the credential",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"        drop(state);
        self.unsaid.extend(event);"#,
        replace: r#"        if let Some(event) = event {
            self.coordinator.emit(&self.slot, event);
        }
        drop(state);"#,
        caught_by: &["coordinator/tests/sharing.rs::a_callback_may_call_the_coordinator_back"],
    },
    Fault {
        breaks: "B7: waiters are woken under the lock of the credential",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: r#"        drop(state);
        self.unsaid.extend(event);"#,
        replace: r#"        if let Some(waiters) = &waiters {
            let _ = waiters.send(told.clone());
        }
        drop(state);
        self.unsaid.extend(event);"#,
        caught_by: &["coordinator/tests/sharing.rs::a_callback_may_call_the_coordinator_back"],
    },
    Fault {
        breaks: "C8: each client has the credential for itself",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/layer.rs",
        find: "        Refresh::new(inner, self.config.clone())",
        replace: r#"        let own = self.changed(|config| {
            if let Credential::Fixed(slot) = &mut config.credential {
                *slot = Arc::new(Slot::new(slot.key.clone()));
            }
        });
        Refresh::new(inner, own.config.clone())"#,
        caught_by: &["service/tests.rs::clones_of_layer_and_client_share_one_refresh_and_see_its_token"],
    },
    Fault {
        breaks: "RB-18: a failure is said only where somebody waits for it",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/flight.rs",
        find: "        if let Err(error) = &told\n            && before",
        replace: "        if let Err(error) = &told\n            && waiters.as_ref().is_some_and(|waiters| waiters.receiver_count() > 0)\n            && before",
        caught_by: &[
            "coordinator/tests/cancellation.rs::a_refresh_that_fails_after_every_caller_has_gone_is_told_all_the_same",
        ],
    },
    Fault {
        breaks: "RB-18: nothing is written to the log",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator.rs",
        find: "        let _ = foreign::call(|| kind.log(&slot.key));\n",
        replace: "",
        caught_by: &[
            "coordinator/tests/cancellation.rs::a_refresh_that_fails_after_every_caller_has_gone_is_told_all_the_same",
        ],
    },
    Fault {
        breaks: "RB-49: a request whose refresh failed goes out without a token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/service.rs",
        find: r#"            Next::Fail(error) => {
                self.give_readiness_back();
                ResponseFuture::failed(error)"#,
        replace: r#"            Next::Fail(error) => {
                drop(error);
                ResponseFuture::plain(self.inner.call(Request::from_parts(head, ReplayBody::plain(body))))"#,
        caught_by: &["service/tests.rs::an_answer_that_cannot_be_healed_is_the_apis_own_with_the_reason"],
    },
    Fault {
        breaks: "RB-71: the replay does not ask for readiness",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/future/heal.rs",
        find: "            ready_service(&mut service).await?;",
        replace: "            let _ = ready_service::<S, Request<ReplayBody<B>>>;",
        caught_by: &["service/tests.rs::the_service_that_was_polled_ready_is_the_one_that_is_called"],
    },
    Fault {
        breaks: "RB-81: no credential is ever put out",
        rows: &["I15"],
        file: "crates/tower-oauth-refresh/src/coordinator/slots.rs",
        find: "if held.slots.len() >= held.full.max(self.room) {",
        replace: "if false && held.slots.len() >= held.full.max(self.room) {",
        caught_by: &["coordinator/slots/tests.rs::there_are_never_more_idle_slots_than_there_is_room_for"],
    },
    Fault {
        breaks: "RB-83: the header may be shown",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/attach.rs",
        find: "value.set_sensitive(true)",
        replace: "value.set_sensitive(false)",
        caught_by: &["service/tests.rs::the_token_is_attached_and_marked_sensitive_and_nothing_is_reported"],
    },
    Fault {
        breaks: "RB-83: the header of a replay may be shown",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/future/heal.rs",
        find: "        token.attachment().attach(&mut head);",
        replace: r#"        let mut attachment = token.attachment();
        attachment.header.set_sensitive(false);
        attachment.attach(&mut head);"#,
        caught_by: &[
            "service/tests.rs::a_refused_request_is_sent_once_more_with_a_new_token_and_the_same_body",
        ],
    },
    Fault {
        breaks: "F1: what a token shows of itself is its text",
        rows: &["I8"],
        file: "crates/tower-oauth-refresh/src/secret.rs",
        find: r#"f.write_str(concat!(stringify!($name), "(redacted)"))"#,
        replace: r#"write!(f, concat!(stringify!($name), "({})"), self.expose_secret())"#,
        caught_by: &["tests/it/secrets.rs::no_secret_is_said_when_everything_goes_well"],
    },
    Fault {
        breaks: "F2: whatever a server calls its error is taken for a code",
        rows: &["I8"],
        file: "crates/tower-oauth-refresh/src/error_code.rs",
        find: "        shaped.then(|| Self(text.into()))",
        replace: "        (shaped || !text.is_empty()).then(|| Self(text.into()))",
        caught_by: &[
            "tests/it/secrets.rs::no_secret_is_said_when_the_token_endpoint_repeats_it",
            "tests/it/secrets.rs::no_secret_is_said_when_the_api_repeats_it",
        ],
    },
    Fault {
        breaks: "F3: only whole tokens are looked for",
        rows: &[],
        file: "tests/it/secrets/watch.rs",
        find: "const WINDOW: usize = 8;",
        replace: "const WINDOW: usize = 16;",
        caught_by: &["tests/it/secrets.rs::what_is_searched_for_is_found"],
    },
];
