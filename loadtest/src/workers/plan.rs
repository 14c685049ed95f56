//! How many connections each process and each node gets, and from which addresses they come.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, bail};
use signalbox_client::WireConfig;

use super::words::Share;
use crate::cluster::{Cluster, connect_as};
use crate::processes::{OTHER_FILES, open_files_max};

/// Connections from one source address. It has 28,000 ports, but the kernel tries them one after the other: with 16,000 taken
/// finding one took it more than a millisecond.
const CONNECTIONS_PER_ADDRESS: usize = 4_000;

/// Files that a node needs besides its connections: Redis, its log, those who ask it for metrics.
const NODE_OTHER_FILES: u64 = 1_000;

/// A process's addresses begin with `127.0.` and its number.
const PROCESSES_MAX: usize = 250;

/// How many connections a run has to a cluster, and how many processes open them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) connections: usize,
    pub(crate) processes: usize,
    pub(crate) cluster: &'a Cluster,
}

impl Plan<'_> {
    /// # Errors
    /// When a process or a node that was started here would need more open files than it may have.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.check_beside(0)
    }

    /// The same where the nodes hold so many more, which this process opens itself.
    ///
    /// # Errors
    /// When a process or a node that was started here would need more open files than it may have.
    pub(crate) fn check_beside(&self, others: usize) -> anyhow::Result<()> {
        let fit = Fit {
            connections: self.connections,
            beside: others,
            processes: self.processes,
            nodes: Some(self.cluster.node_pids().len()).filter(|nodes| *nodes > 0),
        };
        fit.check(open_files_max().unwrap_or(u64::MAX))
    }

    /// Each process's share, nearly equal ones; so many handshakes are under way at once, of all together.
    pub(crate) fn shares(&self, run: &str, at_once: usize) -> Vec<Share> {
        let urls = self.cluster.urls();
        let parts = parts(self.connections, self.processes).enumerate();
        let share = |(process, (first, count))| Share {
            process,
            urls: urls.clone(),
            run: run.to_owned(),
            first,
            count,
            at_once: at_once.div_ceil(self.processes),
            loses_one: false,
        };
        parts.map(share).collect()
    }
}

/// Nearly equal parts of so many: the first of each and how many it has.
fn parts(all: usize, parts: usize) -> impl Iterator<Item = (usize, usize)> {
    let start = move |part: usize| all * part / parts;
    (0..parts).map(move |part| (start(part), start(part + 1) - start(part)))
}

/// Whether processes and nodes are enough.
#[derive(Debug)]
struct Fit {
    connections: usize,
    /// Further ones, on the nodes alone.
    beside: usize,
    processes: usize,
    /// Those that get this process's limits.
    nodes: Option<usize>,
}

impl Fit {
    fn check(&self, files_max: u64) -> anyhow::Result<()> {
        if self.processes > PROCESSES_MAX {
            bail!("{} processes are too many: {PROCESSES_MAX} at most", self.processes);
        }
        let needed = |connections: usize, other: u64| -> anyhow::Result<usize> {
            let each = files_max.checked_sub(other).filter(|each| *each > 0);
            let each = each.with_context(|| format!("{files_max} open files are too few for anything"))?;
            Ok(connections.div_ceil(usize::try_from(each).unwrap_or(usize::MAX)))
        };
        let processes = needed(self.connections, OTHER_FILES)?;
        let nodes = needed(self.connections + self.beside, NODE_OTHER_FILES)?;
        if processes <= self.processes && self.nodes.is_none_or(|given| nodes <= given) {
            return Ok(());
        }
        let mut wanted = format!("--processes {processes}");
        if self.nodes.is_some() {
            wanted += &format!(" and --nodes {nodes}");
        }
        bail!(
            "{} connections need {wanted} or more: a process may have {files_max} open files here (`ulimit -n`)",
            self.connections
        )
    }
}

impl Share {
    /// The id of its agent of this number, from 0.
    pub(crate) fn name(&self, number: usize) -> String {
        format!("{}-{}", self.run, self.first + number)
    }

    /// Messages that reach each of its clients so often, if one sender for each node takes its turn and goes through those that
    /// it reaches.
    pub(crate) fn messages(&self, each: u32) -> usize {
        let senders = self.urls.len().min(self.count);
        self.count.div_ceil(senders.max(1)) * senders * each as usize
    }

    /// How its connection of this number, from 0, reaches the node of that number, counted round and round, as this agent.
    pub(crate) fn config(&self, number: usize, node: usize, agent_type: &str, agent_id: &str) -> WireConfig {
        let mut config = connect_as(&self.urls[node % self.urls.len()], agent_type, agent_id);
        config.local_address = self.source_address(number);
        config
    }

    /// Where its connection of this number, from 0, comes from. Loopback has many addresses to connect from, and needs
    /// them beyond one's ports.
    fn source_address(&self, number: usize) -> Option<IpAddr> {
        let on_loopback = self.urls.iter().all(|url| url.starts_with("ws://127."));
        let block = number / CONNECTIONS_PER_ADDRESS;
        let byte = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        let address = Ipv4Addr::new(127, 0, byte(self.process), byte(1 + block));
        (on_loopback && address != Ipv4Addr::LOCALHOST).then_some(address.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(connections: usize, processes: usize, nodes: usize) -> Fit {
        Fit { connections, beside: 0, processes, nodes: (nodes > 0).then_some(nodes) }
    }

    #[test]
    fn every_connection_belongs_to_one_process() {
        for (connections, processes) in [(100_000, 6), (10, 3), (7, 1), (2, 4)] {
            let mut next = 0;
            for (first, count) in parts(connections, processes) {
                assert_eq!(first, next);
                assert!(count.abs_diff(connections / processes) <= 1);
                next += count;
            }
            assert_eq!((next, parts(connections, processes).count()), (connections, processes));
        }
    }

    #[test]
    fn what_can_not_fit_is_refused_with_what_would() {
        for (fit, fits) in [
            (fit(100_000, 6, 6), true),
            (fit(100_000, 5, 6), false),
            (fit(100_000, 6, 5), false),
            (fit(100_000, 6, 0), true),
            (fit(19_000, 1, 1), true),
            (fit(19_001, 1, 1), false),
            (fit(10, 251, 1), false),
            (Fit { beside: 19_000, ..fit(19_000, 1, 2) }, true),
            (Fit { beside: 19_001, ..fit(19_000, 1, 2) }, false),
        ] {
            assert_eq!(fit.check(20_000).is_ok(), fits, "{fit:?}");
        }
        let error = |fit: Fit| fit.check(20_000).unwrap_err().to_string();
        let wanted =
            "100000 connections need --processes 6 and --nodes 6 or more: a process may have 20000 open";
        assert!(error(fit(100_000, 1, 2)).starts_with(wanted), "{}", error(fit(100_000, 1, 2)));
        assert!(error(fit(100_000, 1, 0)).starts_with("100000 connections need --processes 6 or more"));
        assert!(fit(1, 1, 1).check(64).is_err());
    }

    #[test]
    fn beyond_one_address_s_ports_others_are_used() {
        let share = |process, url: &str| Share {
            process,
            urls: vec![url.to_owned()],
            run: "x".to_owned(),
            first: 0,
            count: 1,
            at_once: 1,
            loses_one: false,
        };
        let loopback = "ws://127.0.0.1:8080/ws";
        let address = |process, number| share(process, loopback).source_address(number);
        assert_eq!((address(0, 0), address(0, 3_999)), (None, None));
        assert_eq!(address(0, 4_000), Some([127, 0, 0, 2].into()));
        assert_eq!(address(0, 13_000), Some([127, 0, 0, 4].into()));
        assert_eq!(address(3, 0), Some([127, 0, 3, 1].into()));
        assert_eq!(share(3, "ws://node:80/ws").source_address(61_000), None);
    }
}
