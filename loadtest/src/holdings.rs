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
        let mut sum =
            Self { resident_bytes, files, tasks: 0.0, connections: 0.0, topics: 0.0, queued_bytes: 0.0 };
        for address in addresses {
            let (_, text) = http::get(address, "/metrics").await?;
            let metric = |name| http::metric(&text, name).with_context(|| format!("no {name} in /metrics"));
            sum.tasks += metric("signalbox_tasks")?;
            sum.connections += metric("signalbox_connections")?;
            sum.topics += metric("signalbox_topics")?;
            sum.queued_bytes += metric("signalbox_bus_queued_bytes")?;
        }
        Ok(sum)
    }

    /// Whether everything but memory is as it was; the question itself may hold a file and a task more of each node.
    pub(crate) fn is_back_to(&self, start: &Self, nodes: usize) -> bool {
        let asking = nodes as u64;
        self.files <= start.files + asking
            && self.tasks <= start.tasks + asking as f64
            && self.connections <= start.connections
            && self.topics <= start.topics
            && self.queued_bytes <= start.queued_bytes
    }

    /// Notes everything, each with `when`.
    pub(crate) fn note(&self, when: &str, report: &mut Report) {
        report.result(format!("{when}_resident_bytes"), self.resident_bytes);
        report.result(format!("{when}_files"), self.files);
        report.figure(format!("{when}_tasks"), self.tasks);
        report.figure(format!("{when}_connections"), self.connections);
        report.figure(format!("{when}_topics"), self.topics);
        report.figure(format!("{when}_bus_queued_bytes"), self.queued_bytes);
    }
}
