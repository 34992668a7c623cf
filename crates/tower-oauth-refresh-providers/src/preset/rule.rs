//! Rules for answers of the token endpoint, as rows of a table.

use tower_oauth_refresh::{AnswerClass, TokenResponse};

use super::Source;

/// An answer, told by its status and members, and what it means at this provider.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub(crate) class: Class,
    /// `None`: any.
    pub(crate) status: Option<u16>,
    /// All of them hold.
    pub(crate) when: &'static [(&'static str, Condition)],
    pub(crate) source: Source,
}

/// What a rule may say: no more than the table needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Configuration,
    Dead,
    InDoubt,
    Transient,
}

/// What is asked of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Is(&'static str),
    Contains(&'static str),
}

impl Rule {
    /// Who says so.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    fn matches(&self, answer: &TokenResponse<'_>) -> bool {
        let here = self.status.is_none_or(|status| answer.status().as_u16() == status);
        here && self.when.iter().all(|(path, condition)| {
            answer.member(path).is_some_and(|text| match condition {
                Condition::Is(wanted) => text == *wanted,
                Condition::Contains(part) => text.contains(part),
            })
        })
    }
}

/// The class of an answer: what the first matching rule says, else what it would be anyway.
pub(super) fn judge(rules: &[Rule], answer: &TokenResponse<'_>, class: AnswerClass) -> AnswerClass {
    // Tokens are not argued away, and what stands in front of a server knows nothing about grants.
    if matches!(class, AnswerClass::Tokens | AnswerClass::Transient { .. }) {
        return class;
    }
    let rule = rules.iter().filter(|rule| rule.source.confirmed).find(|rule| rule.matches(answer));
    rule.map_or(class, |rule| match rule.class {
        Class::Configuration => AnswerClass::Configuration,
        Class::Dead => AnswerClass::GrantDead,
        Class::InDoubt => AnswerClass::Transient { in_doubt: true },
        Class::Transient => AnswerClass::Transient { in_doubt: false },
    })
}
