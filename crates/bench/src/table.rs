//! The goals, and what was measured of each.

use std::fmt;

/// One goal.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name, which begins with the axis.
    pub id: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// What the floor or the best peer comes to, as text.
    pub beside: String,
    /// What ours comes to.
    pub ours: f64,
    /// At most this is wanted.
    pub goal: f64,
    /// Where simplicity won: what is held instead, and why.
    pub instead: Option<(f64, &'static str)>,
    /// A count, the same on every machine. Only these can fail a build.
    pub counted: bool,
}

/// How a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The goal is met.
    Met,
    /// It is not, with a reason, and what is held instead is.
    GivenUp,
    /// A time that could not be taken, on a machine too busy.
    NotMeasured,
    /// Neither.
    Missed,
}

impl Row {
    /// A count that has a goal.
    #[must_use]
    pub fn counted(
        id: &'static str,
        what: &'static str,
        beside: impl Into<String>,
        ours: f64,
        goal: f64,
    ) -> Self {
        Self { id, what, beside: beside.into(), ours, goal, instead: None, counted: true }
    }

    /// A ratio of times that has a goal.
    #[must_use]
    pub fn timed(
        id: &'static str,
        what: &'static str,
        beside: impl Into<String>,
        ours: f64,
        goal: f64,
    ) -> Self {
        Self { counted: false, ..Self::counted(id, what, beside, ours, goal) }
    }

    /// The goal is not met, and `held` is all that is promised.
    #[must_use]
    pub fn instead(self, held: f64, why: &'static str) -> Self {
        Self { instead: Some((held, why)), ..self }
    }

    /// What to make of it. A count that is no number is missed.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.ours <= self.goal {
            Verdict::Met
        } else if self.instead.is_some_and(|(held, _)| self.ours <= held) {
            Verdict::GivenUp
        } else if self.ours.is_nan() && !self.counted {
            Verdict::NotMeasured
        } else {
            Verdict::Missed
        }
    }
}

/// As it is printed, and as the documentation has it.
#[derive(Debug)]
pub struct Table<'a>(pub &'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| id | what | beside it | ours | goal | |")?;
        writeln!(f, "| --- | --- | --- | ---: | ---: | --- |")?;
        let mut notes = Vec::new();
        for row in self.0 {
            let verdict = match (row.verdict(), row.instead) {
                (Verdict::Met, _) => "met".to_owned(),
                (Verdict::GivenUp, Some((held, why))) => {
                    notes.push(format!("{}. {why}", notes.len() + 1));
                    format!("given up for {} ({})", number(held), notes.len())
                }
                (Verdict::NotMeasured, _) => "not measured".to_owned(),
                _ => "MISSED".to_owned(),
            };
            let (ours, goal) = (number(row.ours), number(row.goal));
            writeln!(f, "| {} | {} | {} | {ours} | {goal} | {verdict} |", row.id, row.what, row.beside)?;
        }
        notes.iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}

/// Counts without a fraction, ratios with two digits of it.
#[must_use]
pub fn number(value: f64) -> String {
    if value.fract().abs() < 1e-9 || value.abs() >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_is_missed_is_given_up_only_within_what_is_held_instead() {
        let row = |ours| Row::counted("1a", "x", "", ours, 1.0).instead(2.0, "why");
        assert_eq!(row(1.0).verdict(), Verdict::Met);
        assert_eq!(row(2.0).verdict(), Verdict::GivenUp);
        assert_eq!(row(2.1).verdict(), Verdict::Missed);
        assert_eq!(row(f64::NAN).verdict(), Verdict::Missed);
        assert!(Table(&[row(1.5)]).to_string().ends_with("(1) |\n\n1. why"));
    }
}
