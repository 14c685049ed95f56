//! The followers of one topic on this node. Most topics have one: it is held without a table. Many stand in the order in
//! which they came.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Connection;

/// Followers by their number on this node.
#[derive(Debug, Default)]
pub(super) enum Members {
    #[default]
    None,
    One(Arc<Connection>),
    #[expect(
        clippy::box_collection,
        reason = "most topics have one follower, and a table is three times as large"
    )]
    Many(Box<BTreeMap<u64, Arc<Connection>>>),
}

impl Members {
    pub(super) fn add(&mut self, connection: Arc<Connection>) {
        match std::mem::take(self) {
            Self::None => *self = Self::One(connection),
            Self::One(first) => {
                let both = [first, connection].map(|member| (member.number(), member));
                *self = Self::Many(Box::new(BTreeMap::from(both)));
            }
            Self::Many(mut all) => {
                all.insert(connection.number(), connection);
                *self = Self::Many(all);
            }
        }
    }

    pub(super) fn remove(&mut self, number: u64) {
        match self {
            Self::One(one) if one.number() == number => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(all) => {
                all.remove(&number);
            }
        }
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => one.number() == number,
            Self::Many(all) => all.contains_key(&number),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(all) => all.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Connection>> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(one) => (Some(one), None),
            Self::Many(all) => (None, Some(all.values())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}
