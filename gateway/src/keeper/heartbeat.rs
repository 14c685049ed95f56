//! One look a second at every connection: pings the silent, closes the dead, tells the old and who is too many, sheds those
//! for whom too much waits. Between two looks they leave. So no connection needs a timer.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use signalbox_protocol::close::CloseCode;
use tokio::task::yield_now;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::shedding::shed;
use crate::hub::Connection;
use crate::node::Node;
use crate::stop;

/// So many are pinged before whoever has something to send or to get has a turn.
const PINGS_IN_A_ROW: usize = 32;

pub(super) async fn run(node: Arc<Node>) {
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut balance = stop::Balance::new(node.settings.share);
    while node.halt.run_until_cancelled(next_look(&node, &mut tick)).await.is_some() {
        let pulse = Pulse {
            now: node.uptime.seconds(),
            interval: seconds(node.settings.heartbeat_interval),
            timeout: seconds(node.settings.heartbeat_timeout),
        };
        let mut silent = Vec::new();
        node.hub.for_each(|connection| {
            if pulse.feel(connection) {
                silent.push(Arc::clone(connection));
            }
        });
        ping(silent).await;
        shed(&node);
        stop::tell_old(&node);
        balance.look(&node);
        node.router.routes().sweep();
    }
}

async fn ping(silent: Vec<Arc<Connection>>) {
    for some in silent.chunks(PINGS_IN_A_ROW) {
        some.iter().for_each(|connection| connection.outbox().ping());
        yield_now().await;
    }
}

async fn next_look(node: &Node, tick: &mut Interval) {
    tokio::select! {
        _ = tick.tick() => {}
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
        let last_sign = connection.traffic.pinged_at.load(Relaxed).max(heard_at);
        let is_due = self.now.saturating_sub(last_sign) >= self.interval;
        if is_due {
            connection.traffic.pinged_at.store(self.now, Relaxed);
        }
        is_due
    }
}
