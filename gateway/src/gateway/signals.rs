//! What the process is told from outside.

use std::sync::Arc;

use signalbox_protocol::control::DrainReason;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::node::Node;

/// Those that a node heeds.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// It asks for files to be read again, which whoever has some does; it does not end who has none.
    _hangup: Signal,
}

impl Signals {
    /// From now on none ends the process by itself.
    pub(super) fn listen() -> Self {
        let of = |kind| signal(kind).expect("the runtime handles signals");
        Self {
            terminate: of(SignalKind::terminate()),
            interrupt: of(SignalKind::interrupt()),
            _hangup: of(SignalKind::hangup()),
        }
    }

    /// The next one that asks for an end.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!("SIGTERM"),
            _ = self.interrupt.recv() => tracing::info!("SIGINT"),
        }
    }
}

/// A signal to a node that drains already, because somebody asked it to over HTTP, is the first all the same: a
/// supervisor sends one after its own request.
pub(super) async fn heed(mut signals: Signals, node: Arc<Node>) {
    let heed = async {
        signals.next().await;
        node.stop.ask(DrainReason::Stopping);
        signals.next().await;
        tracing::warn!("a second signal: the stop is cut short");
        node.stop.cut_short();
    };
    node.halt.run_until_cancelled(heed).await;
}
