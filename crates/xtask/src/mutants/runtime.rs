//! Which mutant is on: put into the copy of a crate by `cargo xtask mutants`.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ON: LazyLock<usize> =
    LazyLock::new(|| std::env::var("MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(usize::MAX));
static REACHED: LazyLock<Option<File>> = LazyLock::new(|| {
    let path = std::env::var_os("MUTANTS_REACHED")?;
    OpenOptions::new().create(true).append(true).open(path).ok()
});
static SEEN: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

/// Whether this one is on. That it was asked for is noted where somebody wants to know.
pub(crate) fn is(number: usize) -> bool {
    if let Some(mut file) = REACHED.as_ref()
        && SEEN.get(number).is_some_and(|seen| !seen.swap(true, Ordering::Relaxed))
    {
        // Without an allocation: some tests count them.
        let _ = writeln!(file, "{number}");
    }
    *ON == number
}
