//! What the server is sent, and what comes back.

use std::time::Duration;

use http::StatusCode;

use super::super::check::Checked;
use super::super::check::LOST_ANSWER;
use super::super::process::{Flight, Pending};
use super::super::server::{Done, Rotation, parse};
use super::World;
use crate::coordinator::machine::Answer;
use crate::secret::RefreshToken;

impl World {
    pub(super) fn sending(&mut self, id: usize, token: &RefreshToken) -> Checked {
        self.processes[id].submissions += 1;
        let (family, number) = parse(token.expose_secret());
        self.tell(|| format!("process {id}: sends {}", token.expose_secret()));
        if self.server_down {
            self.seen("I11");
        }
        let stored = self.stored.get(&family).copied().unwrap_or(0);
        if stored > 1 {
            self.seen("I3");
        }
        let excused = self.server.families[family].excuse.is_some();
        if number < stored && self.server.rotation != Rotation::Never && !excused {
            return Err(format!(
                "I3: process {id} sends {} though its successor is stored",
                token.expose_secret()
            ));
        }
        for (other, process) in self.processes.iter().enumerate() {
            let Some(Flight { pending: Pending::Sent(theirs), since, .. }) = &process.flight else {
                continue;
            };
            let under_way = other != id && self.now - since < process.limit;
            let same = match theirs {
                Some(theirs) => parse(theirs.expose_secret()).0 == family && !excused,
                // The server has it, and its holder waits for the answer.
                None => self.server.families.len() == 1 && !self.server.families[family].set_back,
            };
            if under_way && same {
                return Err(format!("I1: processes {id} and {other} have an attempt under way"));
            }
        }
        Ok(())
    }

    /// The server meets a request, or does not.
    pub(super) fn serve(&mut self, id: usize, since: u64, token: Option<RefreshToken>) -> Pending {
        let Some(token) = token else {
            // Silence, until the client's own limit.
            return if self.now - since >= self.processes[id].limit {
                Pending::Answer(Answer::Lost)
            } else {
                Pending::Sent(None)
            };
        };
        if self.now - since >= self.processes[id].limit {
            return Pending::Answer(Answer::Lost);
        }
        if self.processes[id].offline {
            return Pending::Answer(Answer::NotSent(None));
        }
        let outage = unavailable(false, None);
        if self.server_down {
            return Pending::Answer(if self.choices.pick(2) == 0 { outage } else { Answer::NotSent(None) });
        }
        if !self.may_hurt() || !self.choices.rarely(6) {
            return match self.submit(id, &token, false) {
                Some(answer) => Pending::Answer(answer),
                None => Pending::Sent(None),
            };
        }
        self.serve_badly(id, &token)
    }

    fn serve_badly(&mut self, id: usize, token: &RefreshToken) -> Pending {
        match self.choices.pick(10) {
            0 => {
                self.fault("the request is lost");
                Pending::Answer(Answer::Lost)
            }
            1 => {
                self.fault("the answer is lost");
                self.submit(id, token, true);
                Pending::Answer(Answer::Lost)
            }
            2 => {
                self.fault("no answer comes");
                self.submit(id, token, true);
                Pending::Sent(None)
            }
            3 => {
                self.fault("503");
                Pending::Answer(unavailable(true, None))
            }
            4 => {
                self.fault("500 after the server rotated");
                self.submit(id, token, true);
                Pending::Answer(unavailable(true, None))
            }
            5 => {
                self.fault("429 with Retry-After");
                Pending::Answer(unavailable(false, Some(Duration::from_secs(20))))
            }
            6 => {
                self.fault("a refusal without a reason");
                Pending::Answer(Answer::Refused { code: None, retry_after: None })
            }
            7 => {
                self.fault("invalid_client");
                Pending::Answer(Answer::Configuration { code: Some("invalid_client".to_owned()) })
            }
            8 => {
                self.fault("the user has to act");
                Pending::Answer(Answer::NeedsUser { code: Some("consent_required".to_owned()) })
            }
            _ => {
                self.fault("a success without an access token");
                Pending::Answer(match self.submit(id, token, false) {
                    Some(Answer::Tokens(set)) => Answer::Unusable { refresh_token: set.refresh_token },
                    other => other.unwrap_or(Answer::Lost),
                })
            }
        }
    }

    pub(super) fn submit(&mut self, id: usize, token: &RefreshToken, lost: bool) -> Option<Answer> {
        let (family, _) = parse(token.expose_secret());
        (0..self.processes.len()).for_each(|id| self.excuse_frozen(id));
        let done = self.server.submit(token.expose_secret());
        self.tell(|| {
            let what = match &done {
                Done::Rotated(_) => "rotates",
                Done::Kept(_) => "answers",
                Done::Dead => "refuses",
                Done::Reuse => "sees it again and ends the login",
            };
            format!(
                "the server gets {} and {what}{}",
                token.expose_secret(),
                if lost { "; the answer is lost" } else { "" }
            )
        });
        match done {
            Done::Rotated(answer) => {
                let known = &mut self.server.families[family];
                if lost {
                    known.excuse = Some(LOST_ANSWER);
                } else {
                    known.unstored = Some(id);
                }
                (!lost).then_some(answer)
            }
            Done::Kept(answer) => (!lost).then_some(answer),
            Done::Dead | Done::Reuse => {
                (!lost).then(|| Answer::GrantDead { code: "invalid_grant".to_owned() })
            }
        }
    }
}

fn unavailable(in_doubt: bool, retry_after: Option<Duration>) -> Answer {
    Answer::Unavailable { in_doubt, retry_after, status: StatusCode::SERVICE_UNAVAILABLE, code: None }
}
