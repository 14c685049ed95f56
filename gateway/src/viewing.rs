//! Which orders the connections of this node look at, so that looking ends with an agent's last connection.
//!
//! A connection that looks at nothing costs nothing here.

use std::collections::VecDeque;

use dashmap::DashMap;
use signalbox_protocol::OrderId;

/// Orders remembered of one connection; the oldest goes first. Looking at an order ends by itself after
/// 5 minutes, remembered or not.
const ORDERS_MAX: usize = 100;

/// Orders by the connection's number on this node.
#[derive(Debug, Default)]
pub struct Viewing(DashMap<u64, VecDeque<OrderId>>);

impl Viewing {
    /// The connection looks at the order.
    pub fn begin(&self, connection: u64, order_id: &OrderId) {
        let mut orders = self.0.entry(connection).or_default();
        orders.retain(|order| order != order_id);
        if orders.len() >= ORDERS_MAX {
            orders.pop_front();
        }
        orders.push_back(order_id.clone());
    }

    /// It no longer does.
    pub fn end(&self, connection: u64, order_id: &OrderId) {
        self.0.remove_if_mut(&connection, |_, orders| {
            orders.retain(|order| order != order_id);
            orders.is_empty()
        });
    }

    /// Forgets the connection; what it looked at.
    pub fn take(&self, connection: u64) -> VecDeque<OrderId> {
        self.0.remove(&connection).map(|(_, orders)| orders).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: usize) -> OrderId {
        OrderId::try_new(&number.to_string()).unwrap()
    }

    #[test]
    fn a_connection_s_orders_are_remembered_until_it_is_taken() {
        let viewing = Viewing::default();
        for number in [1, 2, 1, 3] {
            viewing.begin(7, &order(number));
        }
        viewing.end(7, &order(3));
        viewing.begin(8, &order(9));
        assert_eq!(viewing.take(7), [order(2), order(1)]);
        assert!(viewing.take(7).is_empty());
        viewing.end(8, &order(9));
        assert!(viewing.0.is_empty(), "nothing is kept of who looks at nothing");
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let viewing = Viewing::default();
        (0..=ORDERS_MAX).for_each(|number| viewing.begin(7, &order(number)));
        let taken = viewing.take(7);
        assert_eq!((taken.len(), &taken[0]), (ORDERS_MAX, &order(1)));
    }
}
