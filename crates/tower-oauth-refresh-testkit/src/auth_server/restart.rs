//! What a server that restarts still knows: its logins, as hashes.
//!
//! Real servers keep refresh tokens the same way. A line is one refresh token that was never used: a number
//! that groups the tokens of one login, the login's generation, and the token's SHA-256.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;

use tower_oauth_refresh::Now;

use super::families::Families;
use crate::hash::Digest;
use crate::ledger::FamilyId;

/// The logins that are alive.
pub(super) fn save(families: &Families) -> String {
    let mut lines: Vec<_> = families.unspent().collect();
    lines.sort_unstable_by_key(|(family, generation, digest)| (*family, *generation, digest.to_hex()));
    lines.into_iter().fold(String::new(), |mut text, (family, generation, digest)| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{family} {generation} {}", digest.to_hex());
        text
    })
}

/// Logins as [`save`] wrote them. Numbers of families are drawn anew, access tokens have died.
pub(super) fn restore(
    families: &mut Families,
    text: &str,
    scope: Option<&str>,
    now: Now,
) -> Result<(), io::Error> {
    let mut numbers: HashMap<&str, FamilyId> = HashMap::new();
    for line in text.lines() {
        let (number, generation, digest) = parse(line)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the saved logins are damaged"))?;
        let family = *numbers.entry(number).or_insert_with(|| families.open(scope.map(str::to_owned)));
        families.adopt(family, generation, digest, now);
    }
    Ok(())
}

fn parse(line: &str) -> Option<(&str, u64, Digest)> {
    let mut fields = line.split(' ');
    let fields = (fields.next()?, fields.next()?.parse().ok()?, Digest::from_hex(fields.next()?)?);
    Some(fields)
}

#[cfg(test)]
mod tests;
