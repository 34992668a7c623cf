//! What a server says of its replicas, and whether it stops answering when one of them has taken its place.

use crate::connection::Fence;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replication {
    is_replica: bool,
    has_replicas: bool,
    /// Are writes refused without replicas?
    needs_replicas: bool,
}

impl Replication {
    /// The section `replication` of `INFO`. It counts good replicas only where `min-replicas-to-write` is not 0, and
    /// it may be asked where `CONFIG` is forbidden, as by those who run Redis for others.
    pub(crate) fn read(info: &str) -> Self {
        let field = |name| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Self {
            is_replica: field("role").is_some_and(|role| role.trim_end() == "slave"),
            has_replicas: field("connected_slaves").is_some_and(|count| count.trim_end() != "0"),
            needs_replicas: field("min_slaves_good_slaves").is_some(),
        }
    }

    pub(crate) fn is_fenced(self, fence: Fence) -> bool {
        let required = match fence {
            Fence::Never => false,
            Fence::WithReplicas => self.has_replicas,
            Fence::Always => true,
        };
        // A replica refuses the script by itself, and says why.
        self.needs_replicas || self.is_replica || !required
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_with_replicas_must_refuse_to_be_without() {
        let alone = "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n";
        let with_replicas = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\nslave0:ip=1.2.3.4\r\n";
        let needing = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\nmin_slaves_good_slaves:2\r\n";
        let replica = "# Replication\r\nrole:slave\r\nmaster_host:x\r\nconnected_slaves:1\r\n";
        for (info, with_replicas, always) in [
            (alone, true, false),
            (with_replicas, false, false),
            (needing, true, true),
            (replica, true, true),
            ("", true, false),
        ] {
            let replication = Replication::read(info);
            let fenced = [Fence::WithReplicas, Fence::Always, Fence::Never].map(|f| replication.is_fenced(f));
            assert_eq!(fenced, [with_replicas, always, true], "{info}");
        }
    }
}
