//! What was measured of each.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::meeting::{AtEnd, meet};
use super::source::Source;
use super::{WAYS, Way, aws, azure, by_hand, google, ours, runtime, yup};
use crate::Failure;
use crate::hot::Send;
use crate::table::number;
use crate::timing::{cpu, interleaved, median, ratio};

/// The same job, done by a peer and by ours: each over what there is without either.
struct Job {
    peer: &'static str,
    of: &'static str,
    way: [&'static str; 2],
    ours: [&'static str; 2],
}

const NOTHING: &str = "";

const JOBS: &[Job] = &[
    token("aws-smithy-runtime, identity cache", "aws"),
    request("aws-smithy-runtime, identity cache", ["aws", NOTHING], true),
    token("google-cloud-auth, headers", "google"),
    request("google-cloud-auth, headers", ["google", NOTHING], true),
    token("google-cloud-auth, headers with an entity tag", "google, entity tag"),
    request("google-cloud-auth, headers with an entity tag", ["google, entity tag", NOTHING], true),
    token("yup-oauth2, token", "yup"),
    request("yup-oauth2, token", ["yup", NOTHING], true),
    request("azure_core, bearer token policy", ["azure", "azure: nothing"], false),
    request("azure_core, bearer token policy", ["azure", "azure: nothing"], true),
    in_chain("reqwest-middleware, written by hand", "by hand"),
    in_chain("reqwest-middleware, written by hand, sends again after a 401", "by hand, again"),
];

const fn token(peer: &'static str, way: &'static str) -> Job {
    Job { peer, of: "`authorization`", way: [way, NOTHING], ours: ["ours: authorization", NOTHING] }
}

const fn request(peer: &'static str, way: [&'static str; 2], replay: bool) -> Job {
    let (of, ours) = if replay {
        ("the layer, ready to replay", "ours: ready to replay")
    } else {
        ("the layer, no replay", "ours: no replay")
    };
    Job { peer, of, way, ours: [ours, "bare"] }
}

const fn in_chain(peer: &'static str, way: &'static str) -> Job {
    Job {
        peer,
        of: "ours as a middleware, ready to replay",
        way: [way, "chain"],
        ours: ["ours: in the chain", "chain"],
    }
}

type Counts = HashMap<&'static str, f64>;

impl Job {
    /// A count of the peer and of ours, each over what there is without it.
    fn counts(&self, counts: &Counts) -> [f64; 2] {
        let of = |way| if way == NOTHING { 0.0 } else { counts.get(way).copied().unwrap_or(f64::NAN) };
        [self.way, self.ours].map(|[way, without]| of(way) - of(without))
    }

    fn times(&self, taken: &HashMap<&'static str, Vec<f64>>) -> f64 {
        let of = |way: &'static str, round: usize| {
            let taken: Option<&Vec<f64>> = taken.get(way);
            if way == NOTHING { Some(0.0) } else { taken?.get(round).copied() }
        };
        let over = |[way, without]: [&'static str; 2], round| Some(of(way, round)? - of(without, round)?);
        median(
            (0..ROUNDS).filter_map(|round| Some(over(self.way, round)? / over(self.ours, round)?)).collect(),
        )
    }
}

const ROUNDS: usize = 31;
const REQUESTS: u32 = 5_000;

/// Both tables.
///
/// # Errors
///
/// Where something cannot be measured.
pub fn report() -> Result<String, Failure> {
    Ok(format!("{}\n{}", valid()?, at_expiry()?))
}

fn valid() -> Result<String, Failure> {
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let mut ways = WAYS.iter().map(|way| way.sender(&runtime)).collect::<Result<Vec<Send>, Failure>>()?;
    let taken = interleaved(&mut ways, ROUNDS, |send| {
        let began = cpu();
        (0..REQUESTS).for_each(|_| send());
        (cpu() - began).as_secs_f64()
    });
    let taken = WAYS.iter().map(|way| way.name).zip(taken).collect();
    let here = std::env::current_exe()?;
    let (allocations, instructions) = (allocations(&here)?, instructions(&here)?);
    let mut table = String::from(
        "| with a valid token | beside ours | time, x ours | allocations (ours) | instructions (ours) |\n\
         | --- | --- | ---: | ---: | ---: |\n",
    );
    for job in JOBS {
        let [allocated, by_ours] = job.counts(&allocations).map(number);
        let [counted, of_ours] = job.counts(&instructions).map(f64::round);
        writeln!(
            table,
            "| {} | {} | {} | {allocated} ({by_ours}) | {counted:.0} ({of_ours:.0}) |",
            job.peer,
            job.of,
            number(job.times(&taken))
        )?;
    }
    Ok(table)
}

fn allocations(here: &Path) -> Result<Counts, Failure> {
    let output = Command::new(here.with_file_name("allocations")).arg("peers").output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    let line = |line: &str| {
        let (name, value) = line.strip_prefix("allocations: ")?.split_once('\t')?;
        Some((Way::named(name)?.name, value.parse().ok()?))
    };
    Ok(text.lines().filter_map(line).collect())
}

fn instructions(here: &Path) -> Result<Counts, Failure> {
    let each = |way: &Way| Ok((way.name, crate::goals::instructions_of(here, &["peers", way.name])?));
    WAYS.iter().map(each).collect()
}

// ===== at the end of a token =====

const CALLERS: u32 = 1000;

const OURS: &[(&str, AtEnd)] = &[
    ("`token`", AtEnd { source: Source::held, callers: ours::callers }),
    ("the layer", AtEnd { source: Source::held, callers: ours::requests }),
    ("ours as a middleware", AtEnd { source: Source::held, callers: by_hand::callers_of_ours }),
];

/// Each with the place of ours that it stands beside.
const PEERS: &[(&str, usize, AtEnd)] = &[
    ("aws-smithy-runtime, identity cache", 0, AtEnd { source: Source::expired, callers: aws::callers }),
    (
        "google-cloud-auth, headers (the first token)",
        0,
        AtEnd { source: Source::held, callers: google::callers },
    ),
    ("yup-oauth2, token", 0, AtEnd { source: Source::expired, callers: yup::callers }),
    ("azure_core, bearer token policy", 1, AtEnd { source: Source::expired, callers: azure::callers }),
    ("reqwest-middleware, written by hand", 2, AtEnd { source: Source::expired, callers: by_hand::callers }),
    (
        "reqwest-middleware, written by hand, sends again after a 401",
        2,
        AtEnd { source: Source::expired, callers: by_hand::callers_again },
    ),
];

fn at_expiry() -> Result<String, Failure> {
    let mut ways: Vec<_> = OURS.iter().map(|(_, at_end)| (*at_end, 0)).collect();
    ways.extend(PEERS.iter().map(|(_, _, at_end)| (*at_end, 0)));
    let mut failed = None;
    let taken = interleaved(&mut ways, 15, |(at_end, asked)| match meet(*at_end, CALLERS) {
        Ok(met) => {
            *asked = met.asked.max(*asked);
            met.each
        }
        Err(error) => {
            failed = Some(error);
            f64::NAN
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let mut table = String::from(
        "| 1000 callers at the end of a token | beside ours | token requests (ours) | a caller resumed, x ours |\n\
         | --- | --- | ---: | ---: |\n",
    );
    let measured = ways.iter().zip(&taken);
    for ((peer, beside, _), ((_, asked), each)) in PEERS.iter().zip(measured.clone().skip(OURS.len())) {
        let (of, _) = OURS.get(*beside).ok_or("ours is missing")?;
        let ((_, asked_by_ours), of_ours) = measured.clone().nth(*beside).ok_or("ours is missing")?;
        let times = number(ratio(each, of_ours));
        writeln!(table, "| {peer} | {of} | {asked} ({asked_by_ours}) | {times} |")?;
    }
    Ok(table)
}
