//! Rows that could not be removed when their connection went, because Redis was away.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use signalbox_registry::Row;

/// Beyond this many the node takes another generation instead, which makes all old rows void at once.
const ROWS_MAX: usize = 10_000;

/// Rows still to be removed, bounded.
#[derive(Debug, Default)]
pub struct LateLeavers {
    rows: Mutex<VecDeque<Row>>,
    overflowed: AtomicBool,
}

impl LateLeavers {
    /// Keeps a row for later.
    pub fn push(&self, row: Row) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() < ROWS_MAX {
            rows.push_back(row);
        } else {
            rows.clear();
            self.overflowed.store(true, Ordering::Release);
        }
    }

    /// Takes up to `count` rows.
    pub fn take(&self, count: usize) -> Vec<Row> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.min(rows.len());
        rows.drain(..count).collect()
    }

    /// Whether rows were given up since the last time this was asked: the node needs another generation.
    pub fn overflowed(&self) -> bool {
        self.overflowed.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant};

    use super::*;

    fn row(number: u64) -> Row {
        let node_id = NodeId::try_new("n").unwrap();
        Row {
            connection_id: ConnectionId::of_node(&node_id, number),
            tenant: Tenant::try_new("t").unwrap(),
            agent: Agent::of("vehicle", "1").unwrap(),
            session_id: SessionId::try_new("s").unwrap(),
            session_named: true,
            pillar: None,
            namespaces: Vec::new(),
            node_id,
            generation: 1,
            connected_at_ms: 0,
            last_activity_ms: 0,
        }
    }

    #[test]
    fn too_many_late_rows_ask_for_another_generation_once() {
        let late = LateLeavers::default();
        (0..ROWS_MAX as u64).for_each(|number| late.push(row(number)));
        assert!(!late.overflowed());
        assert_eq!(late.take(2), [row(0), row(1)]);
        (0..3).for_each(|number| late.push(row(number)));
        assert!(late.overflowed());
        assert!(!late.overflowed());
        assert!(late.take(9).is_empty());
    }
}
