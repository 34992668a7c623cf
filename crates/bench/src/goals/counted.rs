//! Rows that come out the same on every machine.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::durable::OnFiles;
use crate::fan_in;
use crate::hot::Shared;
use crate::latency::{Felt, REGIMES, Regime};
use crate::table::{Row, number};

/// Counted by programs of their own.
#[derive(Debug)]
pub struct Counts {
    allocations: HashMap<String, f64>,
    instructions: HashMap<&'static str, f64>,
}

/// Beside rows that have nothing to be compared with.
const NOTHING: &str = "";

const STATIC: &str = "static header";
const ATTACH: &str = "ours, no replay";
const READY: &str = "ours, ready to replay";
const RETRY: &str = "tower Retry";
const REDIRECT: &str = "FollowRedirect";

impl Counts {
    /// # Errors
    ///
    /// Where a program cannot be run; valgrind is one.
    pub fn take() -> Result<Self, Failure> {
        let here = std::env::current_exe()?;
        let output = Command::new(here.with_file_name("allocations")).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let text = String::from_utf8(output.stdout)?;
        let line = |line: &str| {
            let (name, value) = line.split_once('\t')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        let allocations = text.lines().filter_map(line).collect();
        Ok(Self { allocations, instructions: instructions(&here)? })
    }

    /// What is missing is no number, and missed.
    fn of(&self, name: &str) -> f64 {
        self.allocations.get(name).copied().unwrap_or(f64::NAN)
    }

    fn requests(&self, way: &str) -> f64 {
        self.of(&format!("allocations: {way}")) - self.of(&format!("allocations: {STATIC}"))
    }
}

/// Of one request, by this program with such arguments.
///
/// # Errors
///
/// Where valgrind says nothing.
pub fn instructions_of(here: &Path, arguments: &[&str]) -> Result<f64, Failure> {
    let count = |times: u32| -> Result<f64, Failure> {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
        let run = valgrind.arg(here).args(arguments).arg(times.to_string()).output();
        let output = run.map_err(|error| format!("valgrind, which counts instructions: {error}"))?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let counted =
            text.lines().find_map(|line| line.split_once("refs:")).map(|(_, count)| count.replace(',', ""));
        Ok(counted.ok_or(text)?.trim().parse()?)
    };
    Ok((count(3000)? - count(1000)?) / 2000.0)
}

fn instructions(here: &Path) -> Result<HashMap<&'static str, f64>, Failure> {
    let each = |way: &'static str| Ok((way, instructions_of(here, &["send", way])?));
    let ways = [STATIC, ATTACH, READY, RETRY, REDIRECT];
    ways.into_iter().map(each).collect()
}

/// What was felt in each regime.
pub type Runs = Vec<(Regime, Felt)>;

/// All rows that are counted, and what was felt in each regime.
///
/// # Errors
///
/// Where something cannot be measured.
pub fn counted(counts: &Counts) -> Result<(Vec<Row>, Runs), Failure> {
    let mut rows = hot(counts)?;
    rows.extend(waiting(counts)?);
    rows.push(Row::counted(
        "3a",
        "bytes of an idle credential among 100k, with 263 of its header",
        NOTHING,
        counts.of("bytes of an idle credential"),
        700.0,
    )
    .instead(
        770.0,
        "Eight pointers and words, empty for most: refused tokens, own attempts, a set whose runtime ended, a logout that \
             the store did not take; and what tells two sets of one generation apart.",
    ));
    rows.extend(bodies(counts));
    let felt =
        REGIMES.into_iter().map(|regime| Ok((regime, regime.run()?))).collect::<Result<Vec<_>, Failure>>()?;
    rows.extend(latency(&felt));
    rows.extend(stores()?);
    Ok((rows, felt))
}

fn hot(counts: &Counts) -> Result<Vec<Row>, Failure> {
    let peers = format!(
        "Retry {}, FollowRedirect {}",
        number(counts.requests(RETRY)),
        number(counts.requests(REDIRECT))
    );
    let size = f64::from(u32::try_from(Shared::new()?.future_size())?);
    let mut rows = vec![
        Row::counted("1a", "allocations over a static header, no replay", "0", counts.requests(ATTACH), 0.0),
        Row::counted(
            "1b",
            "allocations over a static header, ready to replay",
            peers,
            counts.requests(READY),
            0.0,
        ),
        Row::counted("1c", "bytes of the future over the inner one and the service", NOTHING, size, 64.0),
    ];
    let over = |way| {
        let of = |way| counts.instructions.get(way).copied().unwrap_or(f64::NAN);
        of(way) - of(STATIC)
    };
    let peers = format!("Retry {}, FollowRedirect {}", number(over(RETRY)), number(over(REDIRECT)));
    rows.push(Row::counted("1d", "instructions over a static header, no replay", NOTHING, over(ATTACH), 180.0).instead(
            1360.0,
            "One path serves requests with and without a replay, and moves more than a fixed header does: request, body \
                 and what is kept of both. Besides, the request's origin, `Host` and own `Authorization` are looked at, the \
                 clock, the answer's status, whether it is gRPC, and whether this origin is known to accept the token.",
        ));
    rows.push(
        Row::counted("1e", "instructions over a static header, ready to replay", peers, over(READY), 950.0)
            .instead(2000.0, "As 1d, and the head is copied."),
    );
    Ok(rows)
}

fn waiting(counts: &Counts) -> Result<Vec<Row>, Failure> {
    let mut most = 0;
    for callers in [10, 1000, 100_000] {
        most = most.max(fan_in::refreshes(callers)?);
    }
    let most = f64::from(u32::try_from(most)?);
    let bare = |what: &str| {
        format!("bare broadcast {}", number(counts.of(&format!("{what} of a waiter: broadcast"))))
    };
    Ok(vec![
        Row::counted("2a", "token requests for 10, 1k or 100k callers", "1", most, 1.0),
        Row::counted(
            "2b",
            "allocations of a waiter",
            bare("allocations"),
            counts.of("allocations of a waiter: ours"),
            0.0,
        )
        .instead(
            2.0,
            "A waiter's waker is wrapped, so that one that panics keeps no other waiter from being woken; and it keeps what it \
             needs to wait for a later attempt.",
        ),
        Row::counted(
            "2c",
            "bytes of a waiter's future",
            bare("bytes"),
            counts.of("bytes of a waiter: ours"),
            96.0,
        )
        .instead(
            600.0,
            "A waiter has a timer of its own, waits for a rest of the endpoint too, and around it stands the future that was \
             asked for a token.",
        ),
    ])
}

fn bodies(counts: &Counts) -> Vec<Row> {
    let body = |name: &str| counts.of(&format!("allocations: {name}"));
    let large = |name: &str| counts.of(&format!("large body: {name}"));
    vec![
        Row::counted("4a", "allocations for an empty body", "0", body("empty body"), 0.0),
        Row::counted("4b", "allocations for a body in memory", "0", body("body in memory"), 0.0),
        Row::counted("4c", "allocations for one streamed frame", "1", body("one streamed frame"), 1.0),
        Row::counted("4d", "bytes copied, 16 MiB sent twice", "0", large("bytes copied"), 0.0),
        Row::counted(
            "4e",
            "frames read before the first is sent",
            "1",
            large("frames before the first arrives"),
            1.0,
        ),
        Row::counted(
            "4f",
            "bytes beyond the frames, 16 MiB by 16 KiB",
            NOTHING,
            large("bytes kept beyond the frames"),
            98_304.0,
        ),
        Row::counted(
            "4g",
            "bytes held when the answer is there",
            "0",
            large("bytes left when the answer is there"),
            0.0,
        ),
    ]
}

fn latency(felt: &[(Regime, Felt)]) -> Vec<Row> {
    // An outage that met no refresh would show nothing.
    let [(_, ahead), (_, outage), (_, reactive)] = felt else { return Vec::new() };
    let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let down = format!("endpoint down {} times", outage.failed);
    let tail = |felt: &Felt| felt.percentile(0.999).as_secs_f64() / felt.percentile(0.99).as_secs_f64();
    let refused = format!("on a 401: {}", reactive.refused);
    let slow = format!("on a 401: {}", reactive.slow());
    vec![
        Row::counted(
            "5a",
            "refusals over ten rotations",
            refused,
            count(ahead.refused + outage.refused),
            0.0,
        ),
        Row::counted("5b", "calls slower than half a refresh", slow, count(ahead.slow()), 0.0),
        Row::counted("5c", "p99.9 over p99", "1", tail(ahead), 2.0),
        Row::counted(
            "5d",
            "calls slow or failed, endpoint down for a fifth of a life from the first attempt",
            down,
            if outage.failed == 0 { f64::NAN } else { count(outage.slow() + outage.lost) },
            0.0,
        )
        .instead(
            128.0,
            "A refresh ahead begins in the last tenth of a token's life, so an outage of a fifth that begins with it \
             outlasts the token, and its 64 callers wait once for a later attempt. Refreshing earlier would rotate more \
             often for everybody; a server that wants more room says so with `refresh_in`.",
        ),
        Row::counted(
            "5e",
            "refreshes by 64 callers that meet the end of nine tokens",
            "9",
            count(reactive.asked),
            9.0,
        ),
    ]
}

fn stores() -> Result<Vec<Row>, Failure> {
    const TIMES: usize = 20;
    let directory = tempfile::tempdir()?;
    let each = |over: bool, name: &str| -> Result<(f64, f64), Failure> {
        let files = OnFiles::open(&directory.path().join(name), over)?;
        // The first has the record read, whatever is valid.
        files.token()?;
        let before = files.calls();
        for _ in 0..TIMES {
            files.token()?;
        }
        let after = files.calls();
        let per = |now: usize, then: usize| (now - then) as f64 / TIMES as f64;
        Ok((per(after.0, before.0), per(after.1, before.1)))
    };
    let (reads, writes) = each(true, "rotating")?;
    let (idle_reads, idle_writes) = each(false, "valid")?;
    Ok(vec![
        Row::counted("6a", "store calls with a valid token", "0", idle_reads + idle_writes, 0.0),
        Row::counted("6b", "writes of a rotation", format!("1; reads: {}", number(reads)), writes, 1.0)
            .instead(2.0, "The first write marks the refresh token as about to be sent, so that no other process sends it \
                 and a crash in between is known for what it is; the second stores its successor."),
    ])
}
