//! What must hold of every history, whatever went wrong in it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use tower_oauth_refresh_testkit::TokenHash;

use crate::book::{Pages, Received, Sent};
use crate::faults::{Kind, counted};
use crate::world::{KEYS, Setup, WORKERS};

/// What happened, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures(pub(crate) BTreeMap<String, u64>);

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            *self.0.entry(what.clone()).or_default() += times;
        }
    }

    fn put(&mut self, what: &str, times: usize) {
        self.0.insert(what.to_owned(), times as u64);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, times) in &self.0 {
            writeln!(f, "  {what:<56} {times:>9}")?;
        }
        Ok(())
    }
}

pub(crate) fn audit(setup: &Setup, strict: bool, faults: &[Kind]) -> (Figures, Result<(), String>) {
    let refreshes = setup.auth.ledger().refreshes();
    let pages = setup.book.pages();
    let committed = refreshes.iter().filter(|refresh| refresh.committed).count();
    let stored = pages.received.iter().filter(|set| set.stored.is_some()).count();
    let mut figures = Figures::default();
    figures.put("histories", 1);
    for (what, times) in counted(faults) {
        figures.put(&format!("fault: {what}"), times as usize);
    }
    for (fate, times) in &pages.fates {
        figures.put(&format!("request: {fate}"), *times as usize);
    }
    for fate in pages.last.values() {
        *figures.0.entry(format!("last request: {fate}")).or_default() += 1;
    }
    figures.put("requests sent twice", pages.sends.values().filter(|sends| **sends == 2).count());
    figures.put("refreshes sent", pages.sent.len());
    figures.put("refreshes carried out", committed);
    figures.put("answers received", pages.received.len());
    figures.put("answers stored", stored);
    let heir = |sent: &&Sent| {
        pages
            .sent
            .iter()
            .any(|before| before.token == sent.token && before.worker != sent.worker && before.at < sent.at)
    };
    figures.put("refreshes sent again by another process", pages.sent.iter().filter(heir).count());
    let spent = |set: &&Received| {
        let parent = TokenHash::of(&set.parent);
        refreshes.iter().filter(|one| one.committed && one.refresh_token == Some(parent)).count()
    };
    let late = pages.sent.iter().filter(|sent| is_late(sent, &pages)).count();
    figures.put("refreshes sent while another process had the answer", late);
    // Its process died, or it is one of several for the same refresh token.
    let lost = pages.received.iter().filter(|set| set.stored.is_none());
    let lost = lost.filter(|set| pages.lives[set.worker] == set.life && spent(set) < 2).count();
    let checks = [
        ("I1 two refreshes of one credential under way", overlapping(setup, &pages)),
        ("I2 a refresh token received and lost", lost),
        ("I3 a refresh token sent though the store had its successor", sent_again(&pages)),
        ("I5 a request sent more than twice, or altered", pages.sends.values().filter(|n| **n > 2).count()),
        ("I6 a request hung", pages.fates.get("hung").copied().unwrap_or_default() as usize),
        ("I6 a refresh never ended", pages.flights_left),
        ("I14 a login over without a word of how", unsaid(&pages, strict)),
        ("a credential not served in the end", unserved(&pages, strict)),
        ("more refreshes stored than carried out", stored.saturating_sub(committed)),
        (
            "calm, and not every refresh became a generation",
            if faults.is_empty() { committed - stored } else { 0 },
        ),
        ("calm, and a request failed", if faults.is_empty() { failed(&pages) } else { 0 }),
    ];
    let broken: Vec<_> = checks.iter().filter(|(_, times)| *times > 0).map(|(what, _)| *what).collect();
    (figures, if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) })
}

/// Pairs of sends of one credential of which the second began before the first had ended.
fn overlapping(setup: &Setup, pages: &Pages) -> usize {
    let mut before: HashMap<_, Vec<&Sent>> = HashMap::new();
    let mut found = 0;
    for sent in &pages.sent {
        let others = before.entry(setup.auth.family_of(&sent.token)).or_default();
        let overlaps = |other: &&&Sent| other.until.is_none_or(|until| sent.at < until);
        found += others.iter().filter(overlaps).filter(|other| !is_late(other, pages)).count();
        others.push(sent);
    }
    found
}

/// Did somebody else have the answer for this refresh token already, and could not reach the store for longer
/// than a mark is respected? Nobody can know of that, and from then on there are two.
fn is_late(sent: &Sent, pages: &Pages) -> bool {
    pages.received.iter().any(|set| {
        let unseen = set.at < sent.at && set.stored.is_none_or(|stored| sent.at < stored);
        set.parent == sent.token && set.worker != sent.worker && unseen
    })
}

fn sent_again(pages: &Pages) -> usize {
    let stored = |token: &str| {
        pages.received.iter().filter(|set| set.parent == token).filter_map(|set| set.stored).min()
    };
    pages.sent.iter().filter(|sent| stored(&sent.token).is_some_and(|at| at < sent.at)).count()
}

/// Only an answer that was lost on a strict server may end a login, and then it is said so.
fn unsaid(pages: &Pages, strict: bool) -> usize {
    let all = pages.fates.keys().chain(pages.last.values());
    all.filter(|fate| fate.starts_with("login over") && !(strict && *fate == "login over: LostRotation"))
        .count()
}

fn unserved(pages: &Pages, strict: bool) -> usize {
    let served = |fate: &&String| *fate == "200" || (strict && fate.starts_with("login over"));
    WORKERS.len() * KEYS.len() - pages.last.values().filter(served).count()
}

fn failed(pages: &Pages) -> usize {
    pages.fates.keys().chain(pages.last.values()).filter(|fate| *fate != "200").count()
}
