//! The changes that somebody has to notice.

/// One change to a file of the core.
#[derive(Debug)]
pub(crate) struct Saboteur {
    /// What is broken.
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    /// Stands there once.
    pub(crate) find: &'static str,
    pub(crate) replace: &'static str,
}

const fn of(name: &'static str, file: &'static str, find: &'static str, replace: &'static str) -> Saboteur {
    Saboteur { name, file, find, replace }
}

const JUDGE: &str = "coordinator/machine/judge.rs";
const EXCHANGE: &str = "coordinator/machine/exchange.rs";
const COMMIT: &str = "coordinator/machine/commit.rs";
const FLIGHT: &str = "coordinator/flight.rs";
const SLOT: &str = "coordinator/slot.rs";
const BEGIN: &str = "coordinator/login/begin.rs";
const END: &str = "coordinator/login/end.rs";
const POLICY: &str = "coordinator/policy.rs";

/// The rules of the protocol, each alone, then mistakes that others have made.
pub(crate) const SABOTEURS: &[Saboteur] = &[
    of(
        "rule 1: the retry goes out under the old mark",
        EXCHANGE,
        "            return self.renew(now, lots, attempt);\n        }\n        let wait",
        "            return self.send(now, lots, attempt);\n        }\n        let wait",
    ),
    of(
        "rule 1: sends though the mark lost its race",
        EXCHANGE,
        "Ok(Swapped::Conflict(found)) => self.looked(now, lots, since, Ok(found)),",
        "Ok(Swapped::Conflict(_)) => self.send(now, lots, attempt),",
    ),
    of(
        "rule 1: sends though the store did not take the mark",
        EXCHANGE,
        "                self.store_failures += 1;\n                if self.store_failures > 1 || self.sends > 0 {",
        "                self.store_failures += 1;\n                if self.store_failures == 1 {\n                    return self.send(now, lots, attempt);\n                }\n                if self.store_failures > 1 || self.sends > 0 {",
    ),
    of(
        "rule 2: sends however late",
        EXCHANGE,
        "if now.since(since) <= SEND_WINDOW =>",
        "if now.since(since) <= SEND_WINDOW * 1000 =>",
    ),
    of(
        "rule 2: sends under a mark however old",
        EXCHANGE,
        "if age <= SEND_WINDOW {",
        "if age <= SEND_WINDOW * 1000 {",
    ),
    of(
        "rule 3: takes a foreign mark at once",
        JUDGE,
        "if !ours\n            && !seen.snapshot.holder_dead",
        "if false\n            && !seen.snapshot.holder_dead",
    ),
    of(
        "rule 3: a lease shorter than the exchange",
        POLICY,
        "        self.exchange_limit.saturating_add(MARK_MARGIN)",
        "        self.exchange_limit / 5",
    ),
    of(
        "rule 3: does not settle",
        JUDGE,
        "            _ => {\n                self.settling = Some((version, now));\n                Some(SETTLE)\n            }",
        "            _ => None,",
    ),
    of(
        "rule 3: settles on a record that changed",
        JUDGE,
        ".filter(|(settled, _)| *settled == version)",
        ".filter(|_| true)",
    ),
    of(
        "rule 3: oversleeping does not matter",
        JUDGE,
        "Some(lay) if lay <= SETTLE_AT_MOST => None",
        "Some(_) => None",
    ),
    of(
        "rule 3: inherits a mark without a doubt",
        JUDGE,
        "let doubt = record.doubt.or(theirs);",
        "let doubt = record.doubt.or(theirs.filter(|_| false));",
    ),
    of(
        "rule 4: keeps a set of an ended login",
        COMMIT,
        "let Some(refresh_token) = commit.rotated.filter(|_| revoke) else {",
        "let Some(refresh_token) = commit.rotated.filter(|_| revoke && false) else {",
    ),
    of(
        "rule 4: gives back a set of a login that was only forgotten",
        COMMIT,
        "return self.give_back(commit, !seen.snapshot.record.forgotten);",
        "return self.give_back(commit, true);",
    ),
    of(
        "rule 4: drops its set for a foreign mark",
        COMMIT,
        "let unmoved = record.generation == commit.under.spent;",
        "let unmoved = record.generation == commit.under.spent && record.mark.is_none();",
    ),
    of(
        "rule 4: a verdict is not overruled",
        COMMIT,
        "let unmoved = record.generation == commit.under.spent;",
        "let unmoved = record.generation == commit.under.spent && record.life == Life::Live;",
    ),
    of(
        "rule 4: the later sibling gives way",
        COMMIT,
        "under.number < commit.under.number",
        "under.number > commit.under.number",
    ),
    of(
        "rule 4: does not recognise its own write",
        COMMIT,
        "record.under.is_some_and(|under| under.nonce == commit.under.nonce)",
        "false && record.under.is_some_and(|under| under.nonce == commit.under.nonce)",
    ),
    of(
        "rule 4: a set that cannot be stored is dropped",
        COMMIT,
        "        self.phase = Phase::Holding { commit };\n        Step::Wait(pause)",
        "        let _ = commit;\n        self.fail(RefreshError::new(ErrorKind::Store))",
    ),
    of(
        "rule 4: a late set forgets who sent the same token",
        COMMIT,
        "let doubt = commit.doubt.or_else(|| meddling(&commit, &seen, now));",
        "let doubt = commit.doubt.or_else(|| meddling(&commit, &seen, now)).filter(|_| false);",
    ),
    of(
        "rule 5: no reading again before a verdict",
        EXCHANGE,
        "if seen.snapshot.version != attempt.version {",
        "if false {",
    ),
    of(
        "rule 5: the verdict is written over anything",
        EXCHANGE,
        "Ok(Swapped::Conflict(_)) => self.look(),\n            // Where the store",
        "Ok(Swapped::Conflict(_)) => self.fail(verdict),\n            // Where the store",
    ),
    of(
        "rule 5: a verdict lifts nothing on install",
        BEGIN,
        "let before = state.standing.take();\n        state.dead = None;\n",
        "let before = None::<()>;\n",
    ),
    of(
        "rule 6: adopts what is expired",
        "coordinator/machine/seen.rs",
        "policy::usable(tokens, age.saturating_add(now.since(self.at))).then_some(held)",
        "{\n            let _ = now;\n            Some(held)\n        }",
    ),
    of(
        "rule 7: the mark is not released",
        EXCHANGE,
        "        record.mark = None;\n        record.rest = rest;",
        "        record.rest = rest;",
    ),
    of("rule 7: no rest is left", EXCHANGE, "        record.rest = rest;", "        let _ = rest;"),
    of(
        "rule 9: the set back store is believed",
        JUDGE,
        "if self.regressed(record) {",
        "if false && self.regressed(record) {",
    ),
    of(
        "told before it is stored",
        COMMIT,
        "        self.phase = Phase::Committing { commit };\n        Step::Swap {",
        "        self.notes.push(Note::Tell(Outcome::Refreshed(commit.held())));\n        self.phase = Phase::Committing { commit };\n        Step::Swap {",
    ),
    of(
        "a dead refresh token is known by its credential",
        JUDGE,
        "self.dead.take_if(|dead| record.fingerprint() == Some(dead.fingerprint))",
        "self.dead.take_if(|_| true)",
    ),
    of(
        "publishes nothing before it wakes",
        FLIGHT,
        "                self.slot.publish(state, current.clone());",
        "",
    ),
    of(
        "no look at the generation before a refresh",
        FLIGHT,
        "if current.id() != used {",
        "if false && current.id() != used {",
    ),
    of(
        "the outcome of an older login is believed",
        FLIGHT,
        "if state.epoch == self.epoch || self.is_of_the_login_now(&outcome) {",
        "if true || self.is_of_the_login_now(&outcome) {",
    ),
    of("a failure takes a valid token away", FLIGHT, "        if ends {\n", "        if ends || true {\n"),
    of(
        "every failure is forgotten at once",
        FLIGHT,
        "        state.standing = Some(Box::new((error.clone(), until)));",
        "",
    ),
    of(
        "the storm guard is asleep",
        JUDGE,
        "least.filter(|least| !least.is_zero())",
        "least.filter(|_| false)",
    ),
    of(
        "it is forgotten that an API has accepted a token",
        SLOT,
        "self.accepted.bits(used.generation) & origin.bit() != 0",
        "self.accepted.bits(used.generation) & origin.bit() == u64::MAX",
    ),
    of("a logout leaves no tombstone", END, "_ => Change::Write(Box::new(new)),", "_ => Change::Remove,"),
    of(
        "a logout removes the record under a foreign mark",
        END,
        "removes: !foreign && landed",
        "removes: landed",
    ),
    of(
        "a logout does not revoke",
        END,
        "&& self.endpoint.revoke(token, key(), limit).await",
        "&& !token.is_empty()",
    ),
    of(
        "a logout leaves the access token alive",
        END,
        "&& self.endpoint.revoke_access(token, key(), limit).await",
        "&& !token.is_empty()",
    ),
    of(
        "a panic leaves its waiters alone",
        FLIGHT,
        "        if !self.ended {\n            // The task panicked",
        "        if false && !self.ended {\n            // The task panicked",
    ),
    of(
        "a caller keeps the timer of a runtime that he has left",
        "coordinator/waiter.rs",
        ".filter(|here| here.id() != runtime.id())",
        ".filter(|_| false)",
    ),
    of(
        "a caller waits without end",
        "coordinator/waiter.rs",
        "Ok(over) => over.map(|()| Err(RefreshError::new(ErrorKind::TimedOut))),",
        "Ok(_) => Poll::Pending,",
    ),
    of(
        "a flight begins under the lock that its end takes",
        FLIGHT,
        "        drop(state);\n        let machine",
        "        let machine",
    ),
    of(
        "an early refresh without a runtime is the last one",
        FLIGHT,
        "ErrorKind::NoRuntime => current.set_ahead(Some(now)),",
        "ErrorKind::NoRuntime => current.set_ahead(None),",
    ),
    of(
        "an early refresh that failed is tried again where it is turned off",
        FLIGHT,
        "(self.coordinator.policy.refresh_ahead || state.parked.is_some())\n            && error",
        "error",
    ),
    of(
        "a look at what is kept fresh brings a login back that has ended",
        "coordinator/keep_fresh.rs",
        "if state.epoch != epoch {",
        "if state.epoch < epoch {",
    ),
    of(
        "nobody is kept fresh once the runtime has ended",
        "coordinator/keep_fresh.rs",
        "task.is_finished()",
        "task.is_finished() && every.is_zero()",
    ),
    of(
        "the store has all the time it wants",
        "coordinator/driver.rs",
        "let answer = timeout(limit,",
        "let answer = timeout(limit * 10_000,",
    ),
    of(
        "Retry-After is not kept",
        "endpoint/classify/retry_after.rs",
        "Some(wait.min(CAP))",
        "None.filter(|_| wait > CAP)",
    ),
    of("the header may be shown", "attach.rs", "value.set_sensitive(true)", "value.set_sensitive(false)"),
    of(
        "any host gets the token",
        "layer.rs",
        "self.origins.iter().find(|(origin, _)| origin.matches(uri))",
        "self.origins.iter().find(|(origin, _)| origin.matches(uri) || true)",
    ),
    of(
        "the token stands beside the caller's own header",
        "service.rs",
        "origin.filter(|_| !request.headers().contains_key(AUTHORIZATION))",
        "origin.filter(|_| !request.headers().contains_key(AUTHORIZATION) || true)",
    ),
    of(
        "another account repeats the request",
        "future/heal.rs",
        "if token.id().login == used.login {",
        "if token.id().login == used.login || true {",
    ),
    of(
        "a bound token goes out without its key",
        "attach.rs",
        "if let Some(key) = self.bound_key {",
        "if let Some(key) = self.bound_key.filter(|_| false) {",
    ),
    of(
        "the key of a login is lost with its first refresh",
        COMMIT,
        "tokens.bound_key = attempt.record.bound_key().cloned();",
        "tokens.bound_key = None;",
    ),
    of(
        "a missing nonce is a refused token",
        "layer.rs",
        "            return Asks::Nonce;",
        "            return Asks::Token;",
    ),
    of(
        "nonces are asked for without end",
        "future/heal.rs",
        "Asks::Nonce if !nonce => nonce = true,",
        "Asks::Nonce => nonce = true,",
    ),
    of(
        "an answer is used whatever its type",
        "endpoint.rs",
        "Verdict::Success(set) if set.token_type.eq_ignore_ascii_case(\"DPoP\") != self.target.dpop => {",
        "Verdict::Success(set) if false && set.token_type.eq_ignore_ascii_case(\"DPoP\") != self.target.dpop => {",
    ),
    of(
        "a verdict that the store has lost is kept to oneself",
        JUDGE,
        "if record.mark.as_ref().is_none_or(|mark| self.own.wrote(mark) || had_its_life(mark)) {",
        "if record.mark.as_ref().is_some_and(|mark| self.own.wrote(mark) || had_its_life(mark)) {",
    ),
    of(
        "jitter is drawn for every call",
        "coordinator.rs",
        "hash_one((coordinator, key, generation))",
        "hash_one((coordinator, key, generation, driver::draw().map(|lots| lots.nonce)))",
    ),
    of(
        "a token is good until its last second",
        POLICY,
        "    Duration::from_secs(30).min(lifetime / 20)",
        "    Duration::ZERO.min(lifetime)",
    ),
    of(
        "the same fixed key for another resource",
        "endpoint.rs",
        "        for (name, value) in parameters {\n            namespace",
        "        for (name, value) in parameters.into_iter().take(0) {\n            namespace",
    ),
];
