//! What a receiver has seen of each sender: tells late batches from fresh ones, and counts what is missing.
//!
//! A PUBLISH that timed out may still run after the next one; without this, its batch would be taken for news.

use std::time::Duration;

use signalbox_protocol::{NodeId, Tenant, Topic};
use tokio::time::Instant;

use crate::bus::batch::{Address, Header};
use crate::recent::Recent;

/// Addresses that are watched at most; the node's own is always among them, being touched all the time.
const ADDRESSES_MAX: usize = 65_536;
/// Senders that are watched at most per address.
const SENDERS_MAX: usize = 256;
/// An address at which nothing arrives for twice this long is forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Take it; so many batches before it never came.
    Fresh {
        /// How many.
        missing: u64,
    },
    /// Refuse it: a newer one was taken.
    Late,
}

#[derive(Debug)]
struct Seen {
    node: NodeId,
    position: (u32, u64, u64),
    at: Instant,
    /// In which life of the subscription.
    life: u64,
}

/// Positions by address and sender.
#[derive(Debug)]
pub(crate) struct Streams {
    seen: Recent<Address, Vec<Seen>>,
    life: u64,
}

impl Default for Streams {
    fn default() -> Self {
        Self { seen: Recent::new(IDLE, ADDRESSES_MAX), life: 0 }
    }
}

impl Streams {
    /// Judges a batch and, unless it is late, moves on to it.
    pub(crate) fn observe(&mut self, header: &Header) -> Verdict {
        let position = (header.generation, header.stream, header.sequence);
        let (at, life) = (Instant::now(), self.life);
        let senders = self.seen.touch(&header.to, Vec::new);
        let Some(seen) = senders.iter_mut().find(|seen| seen.node == header.node) else {
            forget_longest_silent(senders);
            senders.push(Seen { node: header.node.clone(), position, at, life });
            return Verdict::Fresh { missing: 0 };
        };
        if position <= seen.position {
            return Verdict::Late;
        }
        let (_, stream, sequence) = std::mem::replace(&mut seen.position, position);
        seen.at = at;
        if std::mem::replace(&mut seen.life, life) != life {
            return Verdict::Fresh { missing: 0 };
        }
        let expected = if header.stream == stream { sequence + 1 } else { 0 };
        Verdict::Fresh { missing: header.sequence.saturating_sub(expected) }
    }

    /// Forgets a group that is no longer followed: what is sent meanwhile is not missing.
    pub(crate) fn forget(&mut self, tenant: &Tenant, topic: &Topic) {
        self.seen.remove(&Address::Group(tenant.clone(), topic.clone()));
    }

    /// The subscription was down and is back: whoever needs to know is told that anything may be missing,
    /// so nothing is counted as missing. What was late stays late.
    pub(crate) fn begin_anew(&mut self) {
        self.life += 1;
    }
}

fn forget_longest_silent(senders: &mut Vec<Seen>) {
    if senders.len() >= SENDERS_MAX
        && let Some(silent) = (0..senders.len()).min_by_key(|index| senders[*index].at)
    {
        senders.swap_remove(silent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(node: &str, (generation, stream, sequence): (u32, u64, u64), to: &str) -> Header {
        let to = match to {
            "" => Address::Node,
            topic => Address::Group(Tenant::try_new("t").unwrap(), Topic::try_new(topic).unwrap()),
        };
        Header { node: NodeId::try_new(node).unwrap(), generation, stream, sequence, to }
    }

    const FRESH: Verdict = Verdict::Fresh { missing: 0 };

    #[tokio::test(start_paused = true)]
    async fn batches_are_fresh_late_or_tell_what_is_missing() {
        let mut streams = Streams::default();
        for (position, verdict) in [
            ((1, 5, 7), FRESH),
            ((1, 5, 8), FRESH),
            ((1, 5, 8), Verdict::Late),
            ((1, 5, 6), Verdict::Late),
            ((1, 5, 11), Verdict::Fresh { missing: 2 }),
            ((1, 4, 900), Verdict::Late),
            ((1, 9, 0), FRESH),
            ((1, 5, 12), Verdict::Late),
            ((1, 10, 3), Verdict::Fresh { missing: 3 }),
            ((2, 10, 4), FRESH),
            ((1, 10, 5), Verdict::Late),
        ] {
            assert_eq!(streams.observe(&header("a", position, "")), verdict, "{position:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn senders_and_addresses_are_apart() {
        let mut streams = Streams::default();
        for (node, to) in [("a", ""), ("b", ""), ("a", "route:1"), ("a", "route:2")] {
            assert_eq!(streams.observe(&header(node, (1, 1, 3), to)), FRESH);
        }
        assert_eq!(streams.observe(&header("a", (1, 1, 3), "route:1")), Verdict::Late);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_followed_again_misses_nothing_of_the_time_between() {
        let mut streams = Streams::default();
        streams.observe(&header("a", (1, 1, 3), "route:1"));
        streams.forget(&Tenant::try_new("t").unwrap(), &Topic::try_new("route:1").unwrap());
        assert_eq!(streams.observe(&header("a", (1, 1, 90), "route:1")), FRESH);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_break_nothing_counts_as_missing_and_late_stays_late() {
        let mut streams = Streams::default();
        streams.observe(&header("a", (1, 1, 3), ""));
        streams.begin_anew();
        assert_eq!(streams.observe(&header("a", (1, 1, 2), "")), Verdict::Late);
        assert_eq!(streams.observe(&header("a", (1, 1, 90), "")), FRESH);
        assert_eq!(streams.observe(&header("a", (1, 1, 92), "")), Verdict::Fresh { missing: 1 });
    }

    #[tokio::test(start_paused = true)]
    async fn many_senders_are_bounded_and_the_silent_one_goes() {
        let mut streams = Streams::default();
        for node in 0..SENDERS_MAX + 10 {
            tokio::time::advance(Duration::from_millis(1)).await;
            streams.observe(&header(&format!("n{node}"), (1, 1, 5), ""));
            streams.observe(&header("busy", (1, 1, node as u64), ""));
        }
        assert_eq!(streams.observe(&header("busy", (1, 1, 0), "")), Verdict::Late);
        assert_eq!(streams.observe(&header("n0", (1, 1, 0), "")), FRESH, "it was forgotten");
        assert_eq!(streams.seen.get(&Address::Node).unwrap().len(), SENDERS_MAX);
    }
}
