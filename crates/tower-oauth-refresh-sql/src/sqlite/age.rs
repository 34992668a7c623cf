//! How old a record is, by two clocks that err in different ways.

use std::time::Duration;

use tower_oauth_refresh::{Clock as _, SystemClock};

/// The clock of this boot, which nobody sets and which all processes of a boot share.
///
/// It is read before the statement begins, which may then wait for other writers; the wall clock is read by
/// SQLite, when it is the statement's turn, and jumps. The smaller of the two ages is the one to believe:
/// only an age that is too large lets a lease be taken from whoever still uses it.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) boot_id: Option<String>,
    pub(super) boot_ms: Option<i64>,
}

impl Moment {
    pub(super) fn now() -> Self {
        let boot_id = boot_id();
        let boot_ms = boot_id.is_some().then(|| SystemClock::default().now().boot.as_millis());
        Self { boot_id, boot_ms: boot_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)) }
    }

    /// The age at this moment of what was written `by_wall` milliseconds ago, and at `boot_ms` of the boot.
    pub(super) fn since(&self, by_wall: i64, boot_id: Option<&str>, boot_ms: Option<i64>) -> Duration {
        let same_boot = boot_id.is_some() && boot_id == self.boot_id.as_deref();
        let by_boot =
            self.boot_ms.zip(boot_ms).filter(|_| same_boot).map(|(now, then)| now.saturating_sub(then));
        let ms = by_boot.map_or(by_wall, |by_boot| by_boot.min(by_wall));
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

/// Names the clock: a container may have a time namespace of its own.
#[cfg(target_os = "linux")]
fn boot_id() -> Option<String> {
    use std::sync::LazyLock;
    static BOOT_ID: LazyLock<Option<String>> = LazyLock::new(|| {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
        Some(format!("{} {}", boot.trim(), namespace.display()))
    });
    BOOT_ID.clone()
}

/// Elsewhere it counts from the start of the process.
#[cfg(not(target_os = "linux"))]
fn boot_id() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot_id: &str, boot_ms: i64) -> Moment {
        Moment { boot_id: Some(boot_id.to_owned()), boot_ms: Some(boot_ms) }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_boot_is_the_one_that_the_kernel_names() {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert!(boot_id().unwrap().starts_with(boot.trim()));
    }

    #[test]
    fn the_smaller_age_of_two_clocks_is_believed() {
        let now = at("a", 5_000);
        let since = |by_wall, boot_id, boot_ms| now.since(by_wall, Some(boot_id), Some(boot_ms)).as_millis();
        assert_eq!(since(60_000, "a", 4_000), 1_000, "the wall clock was set forward");
        assert_eq!(since(200, "a", 4_000), 200, "the write had to wait for its turn");
        assert_eq!(since(-60_000, "a", 4_000), 0, "the wall clock was set back");
        assert_eq!(since(60_000, "b", 4_000), 60_000, "written before the machine was started");
        assert_eq!(now.since(7, None, None).as_millis(), 7);
    }
}
