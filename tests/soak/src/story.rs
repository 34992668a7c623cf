//! What happened around the end of one login, line by line: what the token endpoint saw, what the processes
//! said of themselves, and what the proxies did meanwhile. Tokens have the names `t0`, `t1`, … in the order of
//! their birth.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tower_oauth_refresh::{Clock as _, RefreshCoordinator, SystemClock};
use tower_oauth_refresh_testkit::TokenHash;

use crate::protocol::Side;
use crate::world::{Credential, Login, World};

/// How many of the last refreshes of a login are told …
const REFRESHES: usize = 4;
/// … and what came so long before and after them.
const BEFORE: Duration = Duration::from_secs(12);
const AFTER: Duration = Duration::from_secs(2);

/// Writes down what a worker's coordinator says of itself.
pub(crate) async fn keep_diary(coordinator: Arc<RefreshCoordinator>, side: Arc<Side>, diary: PathBuf) {
    let mut file = OpenOptions::new().create(true).append(true).open(diary).unwrap();
    let mut events = coordinator.events();
    while let Some(event) = events.next().await {
        let at = since_epoch(SystemClock::default().now().wall).as_millis();
        // One write a line: two coordinators have the same file.
        let line = format!("{at}\t{}\t{}\t{:?}\n", side.name, event.key, event.kind);
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Prints how this login came to its end.
pub(crate) fn tell(world: &World, credential: &Credential, login: &Login) {
    let (server, shelf) = (&world.servers[credential.server], &world.shelves[credential.shelf]);
    let why = login.over.as_deref().unwrap_or("not over");
    println!("\nlogin {} of {} at {}, on {}: {why}", login.family, credential.key, server.name, shelf.name);
    let refreshes = server.auth.ledger().refreshes_of(login.family);
    let mut names: Vec<TokenHash> = Vec::new();
    for token in refreshes.iter().flat_map(|one| [one.refresh_token, one.issued_refresh_token]).flatten() {
        if !names.contains(&token) {
            names.push(token);
        }
    }
    let name = |token: Option<TokenHash>| {
        let known = token.and_then(|token| names.iter().position(|one| *one == token));
        known.map_or("nothing".to_owned(), |number| format!("t{number}"))
    };
    let last = &refreshes[refreshes.len().saturating_sub(REFRESHES)..];
    let (Some(first), Some(end)) = (last.first(), last.last()) else { return };
    let window = since_epoch(first.at.wall).saturating_sub(BEFORE)..since_epoch(end.at.wall) + AFTER;
    let mut lines: Vec<(Duration, String)> = Vec::new();
    for one in last {
        let answer = match &one.error {
            Some(error) => error.clone(),
            None => name(one.issued_refresh_token),
        };
        let delivered = if one.delivered { "" } else { ", which left nobody" };
        let reuse = if one.reuse_detected { ", and the family is over" } else { "" };
        let said = format!("token endpoint: {} came, {answer}{delivered}{reuse}", name(one.refresh_token));
        lines.push((since_epoch(one.at.wall), said));
    }
    for (worker, diary) in world.diaries(credential.shelf) {
        lines.extend(entries(diary, server.name, &credential.key, worker));
    }
    for (what, proxy) in [("token endpoint", Some(&server.token_proxy)), (shelf.name, shelf.proxy.as_ref())] {
        let hurt = proxy.into_iter().flat_map(|proxy| proxy.hurt());
        lines.extend(hurt.map(|(at, kind)| (since_epoch(at), format!("    proxy of {what}: {kind:?}"))));
    }
    lines.retain(|(at, _)| window.contains(at));
    lines.sort();
    for (at, line) in lines {
        println!("  {:>8.3} s  {line}", at.saturating_sub(window.start).as_secs_f64());
    }
}

/// How many received sets a store did not take at once, at this server.
pub(crate) fn held_up(world: &World, side: &str) -> u64 {
    let diaries = (0..world.shelves.len()).flat_map(|shelf| world.diaries(shelf));
    let mut sets = 0;
    for (_, diary) in diaries {
        let written = std::fs::read_to_string(diary).unwrap_or_default();
        let mut waiting: HashSet<&str> = HashSet::new();
        for line in written.lines() {
            let [_, of, key, kind] = line.splitn(4, '\t').collect::<Vec<_>>()[..] else { continue };
            if of != side {
                continue;
            }
            // It is said again with every attempt to write the same set.
            let first = if kind == "PersistFailed" { waiting.insert(key) } else { !waiting.remove(key) };
            sets += u64::from(first && kind == "PersistFailed");
        }
    }
    sets
}

fn entries(diary: &Path, side: &str, key: &str, worker: &str) -> Vec<(Duration, String)> {
    let written = std::fs::read_to_string(diary).unwrap_or_default();
    let of_it = |line: &str| {
        let mut parts = line.splitn(4, '\t');
        let at = Duration::from_millis(parts.next()?.parse().ok()?);
        let ours = parts.next()? == side && parts.next()? == key;
        ours.then_some((at, format!("{worker}: {}", parts.next()?)))
    };
    written.lines().filter_map(of_it).collect()
}

fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}
