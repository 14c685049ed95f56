//! `system:health_check` and `system:stats`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use signalbox_protocol::control::{
    ConnectionState, ConnectionStats, HealthCheck, NodeStatus, RedisStatus, Stats,
};
use signalbox_protocol::envelope::Incoming;

use crate::hub::Connection;
use crate::node::Node;
use crate::stop::StopPhase;
use crate::ws::answer;
use crate::ws::asker::Asker;
use crate::ws::dispatch::Step;
use crate::{stamps, stats};

pub(super) fn health_check(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Step {
    let health = health(node);
    let frame = answer::reply("system:health_check", incoming.answer_to(), &health);
    answer::push(asker.itself(), &node.metrics, frame);
    Step::Done
}

/// How the node is, for `system:health_check` and `/health`.
pub(crate) fn health(node: &Node) -> HealthCheck {
    let serving = *node.phase.borrow() == StopPhase::Serving;
    let status = match (serving, node.is_ready()) {
        (false, _) => NodeStatus::Draining,
        (true, true) => NodeStatus::Ok,
        (true, false) => NodeStatus::Degraded,
    };
    let reaches = *node.cluster.reachable.borrow() && node.cluster.bus.health().healthy;
    let redis = match (node.settings.embedded, reaches) {
        (true, _) => RedisStatus::Embedded,
        (false, true) => RedisStatus::Up,
        (false, false) => RedisStatus::Down,
    };
    HealthCheck {
        status,
        node_id: node.cluster.node.id().clone(),
        uptime_seconds: node.uptime.seconds().into(),
        redis,
        connections: node.hub.len() as u64,
    }
}

pub(super) fn stats(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Step {
    let connection = asker.itself();
    let (of_node, of_cluster) = stats::shown_to(node, &connection.rights());
    let stats = Stats { connection: of_connection(node, connection), node: of_node, cluster: of_cluster };
    answer::push(connection, &node.metrics, answer::reply("system:stats", incoming.answer_to(), &stats));
    Step::Done
}

fn of_connection(node: &Node, connection: &Connection) -> ConnectionStats {
    let traffic = &connection.traffic;
    let serving = *node.phase.borrow() == StopPhase::Serving;
    ConnectionStats {
        messages_in: traffic.messages_in.load(Relaxed).into(),
        messages_out: traffic.messages_out.load(Relaxed).into(),
        bytes_in: traffic.bytes_in.load(Relaxed),
        bytes_out: traffic.bytes_out.load(Relaxed),
        errors: traffic.errors.load(Relaxed).into(),
        uptime_seconds: stamps::now_ms().saturating_sub(connection.profile().connected_at_ms) / 1_000,
        state: if serving { ConnectionState::Open } else { ConnectionState::Draining },
    }
}
