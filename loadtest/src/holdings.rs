//! What nodes hold: when all clients have left, it has to be as before they came.

use anyhow::Context;

use crate::http;
use crate::procfs;
use crate::report::Report;

/// What all nodes hold together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Holdings {
    pub(crate) resident_bytes: u64,
    pub(crate) files: u64,
    pub(crate) tasks: f64,
    /// Connections to Redis that come as they are needed, and stay: a file and a task each.
    pub(crate) pooled: f64,
    pub(crate) connections: f64,
    pub(crate) topics: f64,
    /// Towards other nodes.
    pub(crate) queued_bytes: f64,
}

impl Holdings {
    /// What the nodes at these addresses hold, and their processes.
    ///
    /// # Errors
    /// When one of them does not tell.
    pub(crate) async fn of(
        addresses: impl Iterator<Item = &str>,
        pids: impl IntoIterator<Item = u32>,
    ) -> anyhow::Result<Self> {
        let (mut resident_bytes, mut files) = (0, 0);
        for pid in pids {
            resident_bytes += procfs::resident_bytes(pid)?;
            files += procfs::open_files(pid)?;
        }
        let mut sum = Self {
            resident_bytes,
            files,
            tasks: 0.0,
            pooled: 0.0,
            connections: 0.0,
            topics: 0.0,
            queued_bytes: 0.0,
        };
        for address in addresses {
            let (_, text) = http::get(address, "/metrics").await?;
            let metric = |name| http::metric(&text, name).with_context(|| format!("no {name} in /metrics"));
            sum.tasks += metric("signalbox_tasks")?;
            sum.pooled += metric("signalbox_redis_pool_connections")?;
            sum.connections += metric("signalbox_connections")?;
            sum.topics += metric("signalbox_topics")?;
            sum.queued_bytes += metric("signalbox_bus_queued_bytes")?;
        }
        Ok(sum)
    }

    /// Whether everything but memory is as it was; the question itself may hold a file and a task more of each node, and
    /// what is pooled is nobody's who has left.
    pub(crate) fn is_back_to(&self, start: &Self, nodes: usize) -> bool {
        let more = nodes as f64 + (self.pooled - start.pooled);
        self.files as f64 <= start.files as f64 + more
            && self.tasks <= start.tasks + more
            && self.connections <= start.connections
            && self.topics <= start.topics
            && self.queued_bytes <= start.queued_bytes
    }

    /// Notes everything, each with `when`.
    pub(crate) fn note(&self, when: &str, report: &mut Report) {
        report.result(format!("{when}_resident_bytes"), self.resident_bytes);
        report.result(format!("{when}_files"), self.files);
        report.figure(format!("{when}_tasks"), self.tasks);
        report.figure(format!("{when}_pooled"), self.pooled);
        report.figure(format!("{when}_connections"), self.connections);
        report.figure(format!("{when}_topics"), self.topics);
        report.figure(format!("{when}_bus_queued_bytes"), self.queued_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_left_behind_is_told_from_what_nodes_keep() {
        let start = Holdings {
            resident_bytes: 1_000,
            files: 50,
            tasks: 80.0,
            pooled: 3.0,
            connections: 0.0,
            topics: 0.0,
            queued_bytes: 0.0,
        };
        let back = |now: Holdings| now.is_back_to(&start, 3);
        assert!(
            back(Holdings { resident_bytes: 9_000, files: 53, tasks: 83.0, ..start }),
            "three were asking"
        );
        assert!(back(Holdings { files: 55, tasks: 85.0, pooled: 5.0, ..start }), "two more are pooled");
        assert!(!back(Holdings { files: 54, ..start }));
        assert!(!back(Holdings { tasks: 84.0, ..start }));
        assert!(!back(Holdings { files: 53, pooled: 2.0, ..start }), "one less is pooled");
        for one in [
            Holdings { connections: 1.0, ..start },
            Holdings { topics: 1.0, ..start },
            Holdings { queued_bytes: 1.0, ..start },
        ] {
            assert!(!back(one), "{one:?}");
        }
    }
}
