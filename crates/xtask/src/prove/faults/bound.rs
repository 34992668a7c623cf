//! Rows of "Tokens that are bound to a key".

use super::Fault;

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        breaks: "E1: a nonce that the token endpoint asks for is a failure",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: "if self.target.dpop && classify::wants_nonce(&answer) {",
        replace: "if false && classify::wants_nonce(&answer) {",
        caught_by: &[
            "endpoint/tests.rs::a_server_that_wants_a_nonce_gets_the_request_made_anew_and_once",
            "crates/tower-oauth-refresh-binding/tests/it/dpop.rs::a_nonce_at_the_token_endpoint_takes_a_new_proof_and_a_new_assertion_and_is_no_failure",
        ],
    },
    Fault {
        breaks: "E1: the spent assertion goes out again",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: "        let request = || request::token_request(token, auth, grant, refresh_token.as_ref(), parameters);",
        replace: r#"        let made = request::token_request(token, auth, grant, refresh_token.as_ref(), parameters).await;
        let made = made.map_err(|error| error.to_string());
        let request = || std::future::ready(made.clone().map_err(Into::into));"#,
        caught_by: &[
            "endpoint/tests.rs::a_server_that_wants_a_nonce_gets_the_request_made_anew_and_once",
            "crates/tower-oauth-refresh-binding/tests/it/dpop.rs::a_nonce_at_the_token_endpoint_takes_a_new_proof_and_a_new_assertion_and_is_no_failure",
        ],
    },
    Fault {
        breaks: "E2: a token endpoint gets the request for as long as it asks for nonces",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: r#"                left.store(false, Relaxed);
                return self.send_once(make(), bound_key, &is_late, &left, deadline).await;"#,
        replace: r#"                for _ in 0..5 {
                    let key = bound_key.clone();
                    let again = self.send_once(make(), key, &is_late, &left, deadline.as_mut()).await?;
                    if !classify::wants_nonce(&again) {
                        return Ok(again);
                    }
                }
                return Ok(answer);"#,
        caught_by: &[
            "crates/tower-oauth-refresh-binding/tests/it/refusals.rs::a_token_endpoint_that_never_has_enough_nonces_is_asked_twice_and_nothing_is_lost",
        ],
    },
    Fault {
        breaks: "E2: an API gets the request for as long as it asks for nonces",
        rows: &["I5"],
        file: "crates/tower-oauth-refresh/src/future/heal.rs",
        find: r#"        let (mut proof, mut newer) = (false, None);
        loop {
            let used = exchange.kept.used;
            match asks {
                Asks::Proof if !proof => proof = true,"#,
        replace: r#"        let (mut proofs, mut newer) = (0, None);
        loop {
            let used = exchange.kept.used;
            match asks {
                Asks::Proof if proofs < 3 => proofs += 1,"#,
        caught_by: &[
            "crates/tower-oauth-refresh-binding/tests/it/refusals.rs::an_api_that_never_has_enough_nonces_is_asked_twice_and_no_refresh_comes_of_it",
        ],
    },
    Fault {
        breaks: "E2: an API that asks for another nonce has refused the token",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/layer.rs",
        find: "            return Asks::Proof;",
        replace: "            return Asks::Token;",
        caught_by: &[
            "crates/tower-oauth-refresh-binding/tests/it/refusals.rs::an_api_that_never_has_enough_nonces_is_asked_twice_and_no_refresh_comes_of_it",
        ],
    },
    Fault {
        breaks: "E3: the first nonce of an origin hides the newer ones",
        rows: &[],
        file: "crates/tower-oauth-refresh-binding/src/servers.rs",
        find: "if is_late || server.nonce.as_deref() == Some(nonce) {",
        replace: "if is_late || server.nonce.is_some() {",
        caught_by: &[
            "crates/tower-oauth-refresh-binding/src/servers.rs::each_origin_has_its_own_and_the_newest_counts",
        ],
    },
    Fault {
        breaks: "E3: the nonce of one server is sent to another",
        rows: &[],
        file: "crates/tower-oauth-refresh-binding/src/servers.rs",
        find: "let server = known.get(&origin);",
        replace: "let server = known.get(&origin).or_else(|| known.values().next());",
        caught_by: &[
            "crates/tower-oauth-refresh-binding/src/servers.rs::each_origin_has_its_own_and_the_newest_counts",
        ],
    },
    Fault {
        breaks: "E4: of a body that is too large to keep, what comes after is sent again",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/replay/recording.rs",
        find: r#"        if let Err(reason) = kept {
            self.kept = Kept::Refused(reason);"#,
        replace: r#"        if kept.is_err() {
            self.kept = Kept::Frames(Captured::default());"#,
        caught_by: &[
            "service/tests/nonce.rs::a_body_too_large_to_keep_is_not_sent_again_for_a_nonce_and_says_so",
        ],
    },
    Fault {
        breaks: "E5: without its key a request goes out without a proof",
        rows: &[],
        file: "crates/tower-oauth-refresh-binding/src/dpop.rs",
        find: "            (None, None) => return Err(DpopError::NoKey),",
        replace: "            (None, None) => return Ok(sent),",
        caught_by: &[
            "crates/tower-oauth-refresh-binding/tests/it/refusals.rs::a_lost_key_is_a_clear_error_and_nothing_is_sent",
        ],
    },
    Fault {
        breaks: "E5: a bearer token is taken for a bound one",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: r#"            Verdict::Success(set) if set.token_type.eq_ignore_ascii_case("DPoP") != self.target.dpop => {
                Answer::Unusable { refresh_token: set.refresh_token }
            }
            Verdict::Success(set) => Answer::Tokens(set),"#,
        replace: r#"            Verdict::Success(mut set) => {
                set.token_type = if self.target.dpop { "DPoP" } else { "Bearer" }.to_owned();
                Answer::Tokens(set)
            }"#,
        caught_by: &[
            "crates/tower-oauth-refresh-binding/tests/it/refusals.rs::a_bearer_token_is_not_taken_for_a_bound_one_and_its_refresh_token_is_kept",
        ],
    },
    Fault {
        breaks: "E5: the refresh token beside a token of another type is lost",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/endpoint.rs",
        find: "Answer::Unusable { refresh_token: set.refresh_token }",
        replace: "Answer::Unusable { refresh_token: set.refresh_token.filter(|_| false) }",
        caught_by: &[
            "crates/tower-oauth-refresh-binding/tests/it/refusals.rs::a_bearer_token_is_not_taken_for_a_bound_one_and_its_refresh_token_is_kept",
        ],
    },
    Fault {
        breaks: "E5: a bound login is refreshed without its proof",
        rows: &[],
        file: "crates/tower-oauth-refresh/src/coordinator/machine/judge.rs",
        find: "is_some_and(|tokens| self.policy.must_prove(tokens))",
        replace: "is_some_and(|tokens| false && self.policy.must_prove(tokens))",
        caught_by: &[
            "coordinator/tests/life.rs::a_token_that_is_bound_to_a_key_is_never_sent_as_if_it_were_not",
        ],
    },
];
