//! Prints counts of allocations and bytes, a name and a value a line. A program of its own, so that no time is
//! measured and no instruction counted under an allocator that counts.
#![expect(clippy::print_stdout, reason = "a command line tool")]

use allocation_counter::{AllocationInfo, measure};
use bench::bodies::{Left, Upload};
use bench::hot::{Shared, WAYS};
use bench::{Failure, fan_in, many};
use bytes::Bytes;
use http_body_util::Empty;

fn main() -> Result<(), Failure> {
    #[cfg(feature = "peers")]
    if std::env::args().nth(1).as_deref() == Some("peers") {
        return peers();
    }
    requests()?;
    waiters()?;
    idle()?;
    small_bodies()?;
    large_body()
}

fn print(name: &str, value: u64) {
    println!("{name}\t{value}");
}

fn requests() -> Result<(), Failure> {
    let shared = Shared::new()?;
    for way in WAYS {
        let mut sender = way.sender(&shared);
        for _ in 0..10 {
            sender();
        }
        let used = measure(|| (0..100).for_each(|_| sender()));
        print(&format!("allocations: {}", way.name), used.count_total / 100);
    }
    Ok(())
}

#[cfg(feature = "peers")]
fn peers() -> Result<(), Failure> {
    let runtime = bench::peers::runtime()?;
    let _entered = runtime.enter();
    for way in bench::peers::WAYS {
        let mut sender = way.sender(&runtime)?;
        for _ in 0..10 {
            sender();
        }
        let used = measure(|| (0..100).for_each(|_| sender()));
        print(&format!("allocations: {}", way.name), used.count_total / 100);
    }
    Ok(())
}

fn waiters() -> Result<(), Failure> {
    for (name, way) in [("broadcast", fan_in::Way::Broadcast), ("ours", fan_in::Way::Ours)] {
        let (allocations, bytes) = fan_in::waiter(way, |body| measure(body).count_total)?;
        print(&format!("allocations of a waiter: {name}"), allocations);
        print(&format!("bytes of a waiter: {name}"), u64::try_from(bytes)?);
    }
    Ok(())
}

/// What a credential costs while nothing happens: of so many that the map and its spare room are in it.
fn idle() -> Result<(), Failure> {
    const CREDENTIALS: usize = 100_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut held = None;
    let used = measure(|| held = Some(many::logins(&runtime, CREDENTIALS)));
    drop(held.transpose()?);
    print("bytes of an idle credential", u64::try_from(used.bytes_current)? / CREDENTIALS as u64);
    Ok(())
}

/// How many allocations a body costs more with the layer than without.
fn small_bodies() -> Result<(), Failure> {
    let upload = Upload::of(1, 1024, false)?;
    let more = |ours: AllocationInfo, bare: AllocationInfo| ours.count_total.saturating_sub(bare.count_total);
    let (ours, bare) = (&mut upload.ours::<Empty<Bytes>>()?, &mut upload.bare()?);
    print("allocations: empty body", more(sent(ours, Empty::new)?, sent(bare, Empty::new)?));
    let (ours, bare) = (&mut upload.ours()?, &mut upload.bare()?);
    let full = || upload.full();
    print("allocations: body in memory", more(sent(ours, full)?, sent(bare, full)?));
    let (ours, bare) = (&mut upload.ours()?, &mut upload.bare()?);
    let frame = || upload.frames();
    print("allocations: one streamed frame", more(sent(ours, frame)?, sent(bare, frame)?));
    Ok(())
}

/// Sends once to warm up, and once to be counted.
fn sent<B>(send: &mut impl FnMut(B) -> Left, body: impl Fn() -> B) -> Result<AllocationInfo, Failure> {
    drop(send(body())?);
    let body = body();
    let mut left = None;
    let mut used = measure(|| left = Some(send(body)));
    // The answer itself is its caller's.
    let answer = left.transpose()?.map_or(0, |answer| size_of_val(&*answer));
    used.bytes_current -= i64::try_from(answer)?;
    Ok(used)
}

/// 16 MiB in frames of 16 KiB.
fn large_body() -> Result<(), Failure> {
    const FRAMES: usize = 1024;
    let accepted = Upload::of(FRAMES, 16 << 10, false)?;
    let used = sent(&mut accepted.ours()?, || accepted.frames())?;
    let bare = sent(&mut accepted.bare()?, || accepted.frames())?;
    print("large body: bytes kept beyond the frames", used.bytes_max);
    print(
        "large body: bytes left when the answer is there",
        u64::try_from((used.bytes_current - bare.bytes_current).max(0))?,
    );
    let refused = Upload::of(FRAMES, 16 << 10, true)?;
    drop(refused.ours()?(refused.frames())?);
    let passes = refused.passes();
    let [first, again] = passes.as_slice() else { return Err("it was not replayed".into()) };
    if again.read != FRAMES * (16 << 10) {
        return Err("it was not replayed whole".into());
    }
    print("large body: bytes copied", u64::try_from(first.copied + again.copied)?);
    print("large body: frames before the first arrives", u64::try_from(first.before_first)?);
    Ok(())
}
