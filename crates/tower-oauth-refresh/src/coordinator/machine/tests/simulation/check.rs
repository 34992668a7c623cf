//! What must hold after every step, and what nobody can help.

/// `Err`: what was broken.
pub(super) type Checked = Result<(), String>;

/// What is looked at. One that was never put to the test fails the run.
pub(super) const PROMISES: [&str; 13] = [
    "I1 a foreign mark was met, and not two attempts were on their way",
    "I2 a received set met a failing store, and was not lost",
    "I3 a refresh token had a stored successor, and was not sent again",
    "I4 a write met a newer record, and did not harm it",
    "I6 a flight began, and ended",
    "I10 a login had ended, and did not come back",
    "I11 an outage went on, and was asked rarely",
    "I14 a process died while refreshing, and the next one knew",
    "I14: a login was lost with an answer, and its verdict says so",
    "rule 4: a late set met its own login unmoved, and was stored",
    "rule 5: a refusal met a moved record, and was not believed",
    "rule 8: a waiter saw another's set, and adopted it",
    "rule 9: a store was set back, and got the newer set again",
];

/// Causes that the protocol cannot help.
pub(super) const LOST_ANSWER: &str = "the answer was lost after the server had rotated";
pub(super) const DIED_WITH_ANSWER: &str = "the process that was given the new token died before it stored it";
pub(super) const SET_BACK: &str = "the store was set back";
pub(super) const FROZEN: &str = "the holder was frozen between answer and commit";
pub(super) const CUT_OFF: &str = "the holder was cut off from the store between answer and commit";
