//! One look a second at every connection: pings the silent, closes the dead, tells the old and who is too many, sheds those
//! for whom too much waits. Between two looks they leave. So no connection needs a timer.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use signalbox_protocol::close::CloseCode;
use tokio::time::{MissedTickBehavior, sleep};

use super::pace;
use super::shedding::shed;
use crate::hub::Connection;
use crate::metrics::Queued;
use crate::node::Node;
use crate::spread::spread;
use crate::stop::{self, Old};

/// So many are pinged in a row.
const PINGS_IN_A_ROW: usize = 32;
/// Those of one look are pinged within this time: nearly until the next look, so that pings come evenly.
const PINGED_WITHIN: Duration = Duration::from_millis(900);

pub(super) async fn run(node: Arc<Node>) {
    let mut tick = pace::each_second();
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut balance = stop::Balance::new(node.settings.share);
    let looks = async {
        loop {
            serving(&node, tick.tick()).await;
            let Seen { silent, old, queued } = serving(&node, look(&node)).await;
            if !silent.is_empty() {
                node.tasks.spawn(node.halt.clone().run_until_cancelled_owned(ping(silent)));
            }
            node.queued.store(Arc::new(queued));
            shed(&node, queued.bytes);
            old.tell(&node);
            balance.look(&node);
            node.router.routes().sweep();
        }
    };
    node.halt.run_until_cancelled(looks).await;
}

/// What one look found.
struct Seen {
    /// Who is to be pinged.
    silent: Vec<Arc<Connection>>,
    old: Old,
    queued: Queued,
}

/// Looks at all connections, once; closes the dead.
async fn look(node: &Node) -> Seen {
    let pulse = Pulse {
        now: node.uptime.seconds(),
        interval: seconds(node.settings.heartbeat_interval),
        timeout: seconds(node.settings.heartbeat_timeout),
    };
    let mut seen = Seen { silent: Vec::new(), old: Old::at_this_look(node), queued: Queued::default() };
    let visit = |connection: &Arc<Connection>| {
        seen.queued.add(connection);
        seen.old.look_at(node, connection);
        if pulse.feel(connection) {
            seen.silent.push(Arc::clone(connection));
        }
    };
    node.hub.walk(|_| true, visit).await;
    seen
}

async fn ping(silent: Vec<Arc<Connection>>) {
    let (rows, pause) = pace::rows(&silent, PINGS_IN_A_ROW, PINGED_WITHIN);
    for row in rows {
        row.iter().for_each(|connection| connection.ping());
        sleep(pause).await;
    }
}

/// Does `work`, and meanwhile closes who leaves, each in its turn.
async fn serving<T>(node: &Node, work: impl Future<Output = T>) -> T {
    tokio::select! {
        done = work => done,
        never = stop::serve(node) => match never {},
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).max(1)
}

/// What is compared with each connection's last sign of life; all in seconds of the node's uptime.
#[derive(Debug, Clone, Copy)]
struct Pulse {
    now: u32,
    interval: u32,
    timeout: u32,
}

impl Pulse {
    /// Closes the dead; whether it is to be pinged.
    fn feel(self, connection: &Connection) -> bool {
        let heard_at = connection.traffic.heard_at.load(Relaxed);
        let silent = self.now.saturating_sub(heard_at);
        if silent >= self.timeout {
            connection.outbox().close(CloseCode::HeartbeatMissed);
            return false;
        }
        let pinged_at = connection.traffic.pinged_at.load(Relaxed);
        let borne = if pinged_at == 0 { self.first_interval(connection) } else { self.interval };
        let is_due = self.now.saturating_sub(pinged_at.max(heard_at)) >= borne;
        if is_due {
            connection.traffic.pinged_at.store(self.now, Relaxed);
        }
        is_due
    }

    /// Half of the interval to all of it: those who came at once are not pinged at once for ever after.
    fn first_interval(self, connection: &Connection) -> u32 {
        let half = u64::from(self.interval / 2);
        u32::try_from(spread(connection.number(), half)).map_or(self.interval, |less| self.interval - less)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::time::Instant;

    use super::*;
    use bytes::Bytes;

    use crate::hub::tests::connection;
    use crate::testing::{join, lone_node};
    use crate::ws::outbox::Keep;

    fn pinged(connections: &[Arc<Connection>]) -> usize {
        let has_ping = |connection: &&Arc<Connection>| {
            let mut batch = Vec::new();
            connection.outbox().take(&mut batch, 1, 1_024);
            !batch.is_empty()
        };
        connections.iter().filter(has_ping).count()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_at_the_same_look_is_pinged_row_by_row() {
        let silent: Vec<_> = (0..100).map(|number| connection(number, "acme")).collect();
        let began = Instant::now();
        let mut pinging = std::pin::pin!(ping(silent.clone()));
        assert!(poll!(pinging.as_mut()).is_pending());
        assert_eq!(pinged(&silent), PINGS_IN_A_ROW);
        pinging.await;
        assert_eq!(pinged(&silent), 100 - PINGS_IN_A_ROW);
        assert_eq!(began.elapsed(), PINGED_WITHIN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_scrape_tells_what_waited_at_the_last_look_and_who_is_here_now() {
        let node = lone_node().await;
        let connections = [join(&node, "agent_type=driver&agent_id=D").await, join(&node, "").await];
        for (connection, bytes) in connections.iter().zip([700, 100]) {
            connection.outbox().clear();
            connection.outbox().push(Bytes::from(vec![0; bytes]), Keep::Always);
        }
        let tells = |line: &str| {
            let text = String::from_utf8(node.metrics.render(&node.readings())).unwrap();
            text.lines().any(|told| told == line)
        };
        assert!(tells("signalbox_connections 2"));
        assert!(tells(r#"signalbox_agent_type_connections{agent_type="driver"} 1"#));
        assert!(tells(r#"signalbox_agent_type_connections{agent_type="dashboard"} 0"#));
        assert!(tells("signalbox_outbox_queued_bytes 0"), "nobody has looked yet");
        node.tasks.spawn(run(Arc::clone(&node)));
        tokio::time::sleep(Duration::from_millis(1_600)).await;
        assert!(tells("signalbox_outbox_queued_messages 2"));
        assert!(tells("signalbox_outbox_queued_bytes 800"));
        assert!(tells("signalbox_outbox_largest_bytes 700"));
    }

    #[test]
    fn those_who_came_at_once_are_pinged_for_the_first_time_over_half_an_interval_and_then_each_interval() {
        let all: Vec<_> = (0..1_200).map(|number| connection(number, "acme")).collect();
        all.iter().for_each(|connection| connection.traffic.opened(100));
        let (mut first, mut gaps, mut last) = (Vec::new(), Vec::new(), vec![0; all.len()]);
        for now in 100..220 {
            let pulse = Pulse { now, interval: 25, timeout: 60 };
            for (connection, last) in all.iter().zip(&mut last) {
                if !pulse.feel(connection) {
                    continue;
                }
                connection.traffic.heard_at.store(now, Relaxed);
                if *last == 0 {
                    first.push(now - 100)
                } else {
                    gaps.push(now - *last)
                }
                *last = now;
            }
        }
        assert_eq!((first.iter().min(), first.iter().max()), (Some(&14), Some(&25)));
        let crowded = (14..=25).map(|second| first.iter().filter(|at| **at == second).count()).max();
        assert!(crowded.is_some_and(|most| most < 110), "{crowded:?} of 1,200 in one of 12 seconds");
        assert!(gaps.iter().all(|gap| *gap == 25) && gaps.len() > 3_000);
    }
}
