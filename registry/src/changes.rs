//! What was done to connections while somebody still holds rows that were read before it.
//!
//! A refresh writes rows that its caller collected some time ago. Were one of them unregistered meanwhile, the
//! refresh would bring it back, and nobody would ever remove it. So both back ends remember for a while.

use std::sync::Mutex;
use std::time::Duration;

use signalbox_protocol::ConnectionId;

use crate::Row;
use crate::mutex::lock;
use crate::recent::Recent;

/// How old the rows of a refresh may be.
const SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(60);
/// Connections that are remembered.
const CONNECTIONS_MAX: usize = 262_144;

#[derive(Debug)]
enum Change {
    Gone,
    Namespaces(Vec<String>),
}

/// The latest change of each connection of this node.
#[derive(Debug)]
pub(crate) struct Changes(Mutex<Recent<ConnectionId, Change>>);

impl Default for Changes {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(SNAPSHOT_AGE_MAX, CONNECTIONS_MAX)))
    }
}

impl Changes {
    /// The connection is being registered: nothing of it is old.
    pub(crate) fn begun(&self, id: &ConnectionId) {
        lock(&self.0).remove(id);
    }

    /// It is being unregistered.
    pub(crate) fn gone(&self, id: &ConnectionId) {
        lock(&self.0).put(id.clone(), Change::Gone);
    }

    /// Its namespaces are being replaced by these.
    pub(crate) fn moved(&self, id: &ConnectionId, namespaces: &[String]) {
        lock(&self.0).put(id.clone(), Change::Namespaces(namespaces.to_vec()));
    }

    /// The row as it is by now; `None` when its connection is gone.
    pub(crate) fn apply(&self, row: &Row) -> Option<Row> {
        match lock(&self.0).get(&row.connection_id) {
            None => Some(row.clone()),
            Some(Change::Gone) => None,
            Some(Change::Namespaces(namespaces)) => {
                Some(Row { namespaces: namespaces.clone(), ..row.clone() })
            }
        }
    }
}
