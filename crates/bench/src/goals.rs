//! The goals: what is wanted of each row, and what was found.

mod counted;
mod timed;

pub use self::counted::{Counts, Runs, counted, instructions_of};
pub use self::timed::timed;
