//! What tests need from the machine beyond cargo. A service that tests start themselves is only installed
//! here; it is never left running.

mod debian;
mod node;

use crate::step::Outcome;

/// One line per thing; PostgreSQL and Redis get theirs with the first test that needs them.
pub(crate) fn everything() -> Outcome {
    node::ready()
}
