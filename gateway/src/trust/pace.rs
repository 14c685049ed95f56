//! Closing many connections in one moment: soon, and not so that nothing else gets its turn.

use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::close::CloseCode;
use tokio::time::sleep;

use crate::hub::Connection;

/// Closed at once, and the pause after each: 25,600 a second.
pub(super) const AT_ONCE: usize = 256;
const PAUSE: Duration = Duration::from_millis(10);

/// Closes them all.
pub(super) async fn close_in_turn(connections: &[Arc<Connection>], code: CloseCode) {
    for some in connections.chunks(AT_ONCE) {
        some.iter().for_each(|connection| connection.outbox().close(code));
        sleep(PAUSE).await;
    }
}
