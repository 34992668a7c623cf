//! A model authorization server: rotates, detects reuse, and ends the login.

use std::time::Duration;

use crate::coordinator::machine::Answer;
use crate::store::record::LoginId;
use crate::token::TokenSet;

/// How the server of a history treats a refresh token that was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    /// It ends the login.
    Strict,
    /// Its predecessor is forgiven: there is one more successor.
    Lenient,
    /// There is none: refresh tokens stay.
    Never,
}

/// The refresh tokens of one login at the server.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) login: LoginId,
    pub(super) newest: u64,
    pub(super) alive: bool,
    /// Why it would be nobody's fault if it ended.
    pub(super) excuse: Option<&'static str>,
    /// Was its record set back? Then what was known of lost answers may be gone too.
    pub(super) set_back: bool,
    /// Who received the newest, and has not stored it yet.
    pub(super) unstored: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) rotation: Rotation,
    pub(super) families: Vec<Family>,
}

/// What the server did about a submission.
#[derive(Debug)]
pub(super) enum Done {
    Rotated(Answer),
    Kept(Answer),
    /// The token was dead before.
    Dead,
    /// A spent token came again, and that ended the login.
    Reuse,
}

pub(super) const LIFETIME: Duration = Duration::from_secs(60);

pub(super) fn name(family: usize, number: u64) -> String {
    format!("rt-{family}-{number}")
}

pub(super) fn parse(token: &str) -> (usize, u64) {
    let mut parts = token.split('-').skip(1).map(|part| part.parse::<u64>().unwrap());
    let family = parts.next().unwrap();
    (usize::try_from(family).unwrap(), parts.next().unwrap())
}

impl Server {
    pub(super) fn login(&mut self, login: LoginId) -> TokenSet {
        self.families.push(Family {
            login,
            newest: 1,
            alive: true,
            excuse: None,
            set_back: false,
            unstored: None,
        });
        self.set(self.families.len() - 1)
    }

    fn set(&self, family: usize) -> TokenSet {
        let number = self.families[family].newest;
        TokenSet::new(format!("at-{family}-{number}"))
            .with_refresh_token(name(family, number))
            .with_expires_in(LIFETIME)
            // Says which set it is, where tokens are not shown.
            .with_scope(name(family, number))
    }

    pub(super) fn submit(&mut self, token: &str) -> Done {
        let (family, number) = parse(token);
        let rotation = self.rotation;
        let known = &mut self.families[family];
        if !known.alive {
            return Done::Dead;
        }
        let forgiven = rotation == Rotation::Lenient && number + 1 == known.newest;
        if number != known.newest && !forgiven {
            known.alive = false;
            return Done::Reuse;
        }
        if rotation == Rotation::Never {
            return Done::Kept(Answer::Tokens(self.set(family)));
        }
        known.newest += 1;
        Done::Rotated(Answer::Tokens(self.set(family)))
    }

    pub(super) fn revoke(&mut self, token: &str) {
        let (family, _) = parse(token);
        self.families[family].alive = false;
    }

    pub(super) fn of(&mut self, login: LoginId) -> Option<&mut Family> {
        self.families.iter_mut().find(|family| family.login == login)
    }
}
