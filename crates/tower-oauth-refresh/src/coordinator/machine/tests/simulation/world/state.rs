//! What a world will do from here, as one number: two worlds that differ only in names and in the hour are
//! the same.

use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::super::process::{Pending, Process};
use super::World;

/// What was longer ago, or is further ahead, is as long: no rule of the machine looks beyond.
const FAR: i64 = 120_000;
/// A number as long as this is a name that was drawn.
const DRAWN: usize = 25;

impl World {
    pub(in super::super) fn state(&self) -> u128 {
        let text = canonical(&self.text(), self.now);
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, &text).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        half(0) << 64 | half(1)
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(8192);
        for process in &self.processes {
            self.write_process(&mut text, process).unwrap();
        }
        let Self { server, store_down, server_down, hurt, ended, stored, .. } = self;
        write!(text, "{server:?}{store_down}{server_down}{hurt}{ended:?}{stored:?}").unwrap();
        if let Some((version, record, written)) = &self.store {
            write!(text, "{version:?}{record:?}{}", self.relative(*written)).unwrap();
        }
        text
    }

    fn write_process(&self, text: &mut String, process: &Process) -> std::fmt::Result {
        let Process { holder, alive, cut, memory, dead, own, offline, limit, .. } = process;
        write!(
            text,
            "\n{holder:?}{alive}{cut}{memory:?}{dead:?}{own:?}{offline}{limit}{}",
            self.relative(process.rests_until).max(0)
        )?;
        if process.frozen {
            write!(text, "frozen{}", self.relative(process.frozen_since))?;
        }
        if let Some(login) = &process.login {
            write!(text, "{:?}{:?}{:?}", login.kind, login.read, self.relative(login.since))?;
            write!(text, "{:?}{:?}{}", login.ends, login.maybe, login.failures)?;
        }
        let Some(flight) = &process.flight else {
            return Ok(());
        };
        write!(text, "{:?}{}", flight.machine, self.relative(flight.since))?;
        match &flight.pending {
            Pending::Sent(token) => {
                write!(text, "sent{:?}", token.as_ref().map(|token| token.expose_secret()))
            }
            Pending::Revoke(token) => write!(text, "revoke{}", token.expose_secret()),
            Pending::Wait { until, seen } => {
                write!(text, "wait{}{}", self.relative(*until), *seen == self.writes)
            }
            pending => write!(text, "{pending:?}"),
        }
    }

    fn relative(&self, at: u64) -> i64 {
        clamped(at, self.now)
    }
}

fn clamped(at: u64, now: u64) -> i64 {
    (i64::try_from(at).unwrap() - i64::try_from(now).unwrap()).clamp(-FAR, FAR)
}

/// Names in the order in which they come, times by how far they are.
fn canonical(text: &str, now: u64) -> String {
    let mut names = HashMap::new();
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("SystemTime {") {
            rest = &after[after.find('}').unwrap()..];
        } else if let Some(after) = rest.strip_prefix("boot: ")
            && let Some((at, after)) = duration(after)
        {
            write!(result, "boot{}", clamped(at, now)).unwrap();
            rest = after;
        } else if let Some(after) = rest.strip_prefix("age: ") {
            let (age, after) = duration(after).unwrap();
            write!(result, "age{}", age.min(FAR.unsigned_abs())).unwrap();
            rest = after;
        } else if first.is_ascii_alphanumeric() {
            let end = rest.find(|one: char| !one.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if word.len() >= DRAWN && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let number = names.len();
                write!(result, "#{}", names.entry(word).or_insert(number)).unwrap();
            } else {
                result.push_str(word);
            }
            rest = after;
        } else {
            result.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    result
}

/// Milliseconds, and what follows; `None` for the name of a host.
fn duration(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|one: char| !one.is_ascii_digit() && one != '.')?;
    let number: f64 = text[..end].parse().ok()?;
    let rest = &text[end..];
    let units = [("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9), ("s", 1.0)];
    let (rest, unit) = units.iter().find_map(|(name, unit)| Some((rest.strip_prefix(name)?, unit)))?;
    let exact = Duration::from_secs_f64(number * unit);
    Some((u64::try_from(exact.as_millis()).unwrap(), rest))
}
