//! Goals, and whether they are met.

use crate::Failure;

/// One line a goal.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    found: f64,
    goal: f64,
    unit: &'static str,
}

impl Table {
    /// `found` should be `goal` at most.
    pub fn at_most(&mut self, what: impl Into<String>, found: f64, goal: f64, unit: &'static str) {
        self.rows.push(Row { what: what.into(), found, goal, unit });
    }

    /// Prints all of it.
    ///
    /// # Errors
    ///
    /// Some goal is missed.
    pub fn judge(&self) -> Result<(), Failure> {
        println!("{:<58} {:>10} {:>10}", "goal", "found", "at most");
        for Row { what, found, goal, unit } in &self.rows {
            let verdict = if found <= goal { "met" } else { "MISSED" };
            println!("{what:<58} {found:>10.2} {goal:>10.2} {unit:<12} {verdict}");
        }
        let missed = self.rows.iter().filter(|row| row.found > row.goal).count();
        if missed == 0 { Ok(()) } else { Err(format!("{missed} of {} goals missed", self.rows.len()).into()) }
    }
}
