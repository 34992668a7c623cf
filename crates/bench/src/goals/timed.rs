//! Rows that are ratios of times of one run.

use std::sync::Barrier;
use std::thread;

use crate::durable::{OnFiles, floor};
use crate::hot::{Send, Shared, Way};
use crate::many::Lookup;
use crate::table::{Row, number};
use crate::timing::{cpu, interleaved, median, ratio, wall};
use crate::{Failure, bodies, fan_in, loopback, proof};

/// All rows that are timed.
///
/// # Errors
///
/// Where something cannot be measured.
pub fn timed() -> Result<Vec<Row>, Failure> {
    let mut rows = hot()?;
    rows.extend(two_threads()?);
    rows.extend(fan_in_rows()?);
    rows.extend(lookups()?);
    rows.extend(replays()?);
    rows.extend(loopback_rows()?);
    rows.push(rotation()?);
    rows.extend(proofs()?);
    Ok(rows)
}

fn proofs() -> Result<Vec<Row>, Failure> {
    let proof::Cost { signature, one_key, per_login } = proof::cost()?;
    let beside = format!("{:.1} us a signature", signature * 1e6);
    Ok(vec![
        Row::timed("7a", "a request with a DPoP proof, x the bare signature", &*beside, one_key, 1.25),
        Row::timed("7b", "the same with a key of its login, x the bare signature", beside, per_login, 1.25)
            .instead(
                2.5,
                "The key is read for each request, which `ring` answers with a check of it, so that none stays in memory \
                 when its login has ended.",
            ),
    ])
}

fn hot() -> Result<Vec<Row>, Failure> {
    let shared = Shared::new()?;
    let names =
        ["static header", "ours, no replay", "ours, ready to replay", "tower Retry", "FollowRedirect"];
    let sender = |name: &&str| Ok(Way::named(name).ok_or("no such way")?.sender(&shared));
    let mut ways = names.iter().map(sender).collect::<Result<Vec<Send>, Failure>>()?;
    let taken = interleaved(&mut ways, 31, |way| turn(way, 20_000));
    let [fixed, attach, ready, retry, redirect] = taken.as_slice() else {
        return Err("a way is missing".into());
    };
    let added = |way: &[f64], peer: &[f64]| {
        let each = way.iter().zip(peer).zip(fixed).map(|((way, peer), fixed)| (way - fixed) / (peer - fixed));
        median(each.collect())
    };
    let beside = format!("FollowRedirect {}", number(added(redirect, retry)));
    Ok(vec![
        Row::timed("1f", "attach, no replay, x a static header", "", ratio(attach, fixed), 1.15)
            .instead(2.0, "See 1d."),
        Row::timed("1g", "ready to replay, x what tower Retry adds", beside, added(ready, retry), 0.85)
            .instead(1.6, "See 1d; Retry looks at no origin and no clock, and keeps no body back."),
    ])
}

fn turn(send: &mut Send, requests: u32) -> f64 {
    let began = cpu();
    for _ in 0..requests {
        send();
    }
    (cpu() - began).as_secs_f64() / f64::from(requests)
}

fn two_threads() -> Result<Vec<Row>, Failure> {
    let shared = Shared::new()?;
    let contended = |name: &str| -> Result<f64, Failure> {
        let way = Way::named(name).ok_or("no such way")?;
        let mut ratios = Vec::new();
        for _ in 0..300 {
            let (one, two) = (threads(way, &shared, 1), threads(way, &shared, 2));
            ratios.extend(one.zip(two).map(|(one, two)| two / one));
            if ratios.len() == 15 {
                break;
            }
        }
        Ok(median(ratios))
    };
    let fixed = number(contended("static header")?);
    let row = |id, what, way| {
        Ok::<_, Failure>(Row::timed(id, what, format!("static header {fixed}"), contended(way)?, 1.10))
    };
    Ok(vec![
        row("1h", "two threads, no replay, x one", "ours, no replay")?,
        row("1i", "two threads, ready to replay, x one", "ours, ready to replay")?,
        row("1j", "two threads, service cloned by each request, x one", "ours, cloned per request")?
            .instead(2.5, "A clone of the service shares one count."),
    ])
}

/// Seconds of the processor for a request, if all threads ran side by side.
fn threads(way: Way, shared: &Shared, count: usize) -> Option<f64> {
    // Short, so that others on the machine seldom come between.
    const REQUESTS: u32 = 5_000;
    let barrier = Barrier::new(count);
    let one = || {
        let mut send = way.sender(shared);
        turn(&mut send, 100);
        barrier.wait();
        let began = wall();
        let took = turn(&mut send, REQUESTS);
        let side_by_side = took * f64::from(REQUESTS) > 0.9 * began.elapsed().as_secs_f64();
        side_by_side.then_some(took)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
        let took: Option<Vec<f64>> = threads.into_iter().map(|thread| thread.join().ok().flatten()).collect();
        Some(median(took?))
    })
}

fn fan_in_rows() -> Result<Vec<Row>, Failure> {
    let mut failed = None;
    let mut taken = |callers: usize, rounds: usize, run: fn(fan_in::Way, usize) -> Result<f64, Failure>| {
        interleaved(&mut fan_in::WAYS.clone(), rounds, |way| {
            run(*way, callers).unwrap_or_else(|error| {
                failed = Some(error);
                f64::NAN
            })
        })
    };
    const WHY: &str = "What each takes is a token with a count of its own, and what it lets go of is the coordinator it asked.";
    let (small, large, tasks) = (
        taken(1000, 31, fan_in::resume),
        taken(100_000, 7, fan_in::resume),
        taken(100_000, 5, fan_in::tasks),
    );
    if let Some(error) = failed {
        return Err(error);
    }
    let row = |id, what, taken: &[Vec<f64>], held| {
        let [bare, shared, ours] = taken else { return Err(Failure::from("a way is missing")) };
        let beside = format!("futures Shared {}", number(ratio(shared, bare)));
        Ok(Row::timed(id, what, beside, ratio(ours, bare), 1.05).instead(held, WHY))
    };
    let ours = |taken: &[Vec<f64>]| median(taken.last().cloned().unwrap_or_default());
    let bare = |taken: &[Vec<f64>]| median(taken.first().cloned().unwrap_or_default());
    let beside = format!("bare broadcast {}", number(bare(&large) / bare(&small)));
    Ok(vec![
        row("2d", "resuming 1k callers, x bare broadcast", &small, 2.5)?,
        row("2e", "resuming 100k callers, x bare broadcast", &large, 2.5)?,
        row("2f", "resuming 100k tasks, x bare broadcast", &tasks, 2.5)?,
        Row::timed("2g", "a caller of 100k, x one of 1k", beside, ours(&large) / ours(&small), 1.3).instead(
            2.0,
            "Beyond the caches the bytes of 2c count, and those of bare broadcast are half of ours.",
        ),
    ])
}

fn lookups() -> Result<Vec<Row>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rows = Vec::new();
    for (id, what, credentials) in [
        ("3b", "a token asked for among 1k, x dashmap and arc-swap", 1000),
        ("3c", "a token asked for among 100k, x dashmap and arc-swap", 100_000),
        ("3d", "a token asked for among 1M, x dashmap and arc-swap", 1_000_000),
    ] {
        let mut ways = [Lookup::plain(credentials)?, Lookup::ours(&runtime, credentials)?];
        let taken = interleaved(&mut ways, 15, |way| way.take(100_000));
        let [plain, ours] = taken.as_slice() else { return Err("a way is missing".into()) };
        let beside = format!("{:.0} ns", median(plain.clone()) * 1e9);
        rows.push(Row::timed(id, what, beside, ratio(ours, plain), 1.1).instead(
            1.8,
            "A token that nobody has asked for lately is looked at closely, which takes more of its memory than the header.",
        ));
    }
    Ok(rows)
}

fn replays() -> Result<Vec<Row>, Failure> {
    let mut failed = None;
    let taken = interleaved(&mut [1024, 16_384], 15, |frames| {
        bodies::replay(*frames, 1024).unwrap_or_else(|error| {
            failed = Some(error);
            f64::NAN
        })
    });
    match (failed, taken.as_slice()) {
        (None, [short, long]) => Ok(vec![Row::timed(
            "4h",
            "a frame of 16384 replayed, x one of 1024",
            "",
            ratio(long, short),
            2.0,
        )]),
        (failed, _) => Err(failed.unwrap_or_else(|| "nothing was replayed".into())),
    }
}

fn loopback_rows() -> Result<Vec<Row>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rows = Vec::new();
    for (id, what, http2) in [
        ("5f", "HTTP/1.1 x64, client CPU x static header", false),
        ("5g", "HTTP/2 x64, client CPU x static header", true),
    ] {
        let mut clients = loopback::clients(&runtime, http2)?;
        let taken = interleaved(&mut clients, 15, |run| run(&runtime).unwrap_or(f64::NAN));
        let [fixed, ours] = taken.as_slice() else { return Err("a client is missing".into()) };
        let beside = format!("{} us a request", number(median(fixed.clone()) * 1e6));
        let why =
            "More than the instructions of 1e come to, on a machine that others use too; not taken apart.";
        rows.push(Row::timed(id, what, beside, ratio(ours, fixed), 1.03).instead(1.2, why));
    }
    Ok(rows)
}

fn rotation() -> Result<Row, Failure> {
    let directory = tempfile::tempdir()?;
    let files = OnFiles::open(&directory.path().join("store"), true)?;
    let mut ways = [false, true];
    let mut failed = None;
    let taken = interleaved(&mut ways, 60, |ours| {
        let took = if *ours { files.token() } else { floor(directory.path()) };
        took.unwrap_or_else(|error| {
            failed = Some(error);
            f64::NAN
        })
    });
    let (None, [bare, ours]) = (failed, taken.as_slice()) else { return Err("the disk failed".into()) };
    let beside = format!("{} us", number(median(bare.clone()) * 1e6));
    Ok(Row::timed("6c", "a rotation on files, x one durable replace", beside, ratio(ours, bare), 1.1)
        .instead(3.0, "Two writes, for the reason of 6b."))
}
