//! The rows of newcomers whose session is their own. Those that come at the same time are written together: one round trip,
//! and one command for all that goes to one key.
//!
//! All commands can be repeated, so that what Redis refuses is asked for again row by row: it is one row's fault.

use std::sync::Arc;

use signalbox_protocol::{Tenant, Topic};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::call::Call;
use super::expiries::Expiries;
use super::store::Store;
use super::text;
use crate::gathering::Gathering;
use crate::presence::groups_of;
use crate::row::Generation;
use crate::{Error, Row};

/// Rows that are written together: what Redis is busy with for half a millisecond.
const ROWS_MAX: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Newcomers {
    store: Arc<Store>,
    expiries: Arc<Expiries>,
    tracker: TaskTracker,
    line: Gathering<Newcomer>,
}

#[derive(Debug)]
struct Newcomer {
    row: Row,
    since: Instant,
    written: oneshot::Sender<Result<(), Error>>,
}

impl Newcomers {
    pub(super) fn new(store: &Arc<Store>, expiries: &Arc<Expiries>, tracker: &TaskTracker) -> Arc<Self> {
        let (store, expiries, tracker) = (Arc::clone(store), Arc::clone(expiries), tracker.clone());
        Arc::new(Self { store, expiries, tracker, line: Gathering::default() })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it was not sent; [`Error::OutcomeUnknown`]; or what Redis had against it.
    pub(super) async fn write(self: &Arc<Self>, row: Row) -> Result<(), Error> {
        let (written, told) = oneshot::channel();
        if self.line.add(Newcomer { row, since: Instant::now(), written }) {
            let newcomers = Arc::clone(self);
            self.tracker.spawn(async move { newcomers.write_until_none_waits().await });
        }
        told.await.unwrap_or(Err(Error::OutcomeUnknown(None)))
    }

    async fn write_until_none_waits(&self) {
        loop {
            let mut rows = 0;
            let fits = |_: &Newcomer| {
                rows += 1;
                rows <= ROWS_MAX
            };
            let Some(mut some) = self.line.next(fits) else { return };
            let is_late = |one: &mut Newcomer| one.since.elapsed() >= self.store.command_timeout;
            for gone in some.extract_if(.., |one| one.written.is_closed() || is_late(one)) {
                let _ = gone.written.send(Err(Error::Unavailable(None)));
            }
            if !some.is_empty() {
                self.write_some(some).await;
            }
        }
    }

    async fn write_some(&self, some: Vec<Newcomer>) {
        let written = self.write_rows(some.iter().map(|one| &one.row)).await;
        let is_alone = some.len() == 1;
        let mut error = written.err();
        for Newcomer { row, written, .. } in some {
            let told = match &mut error {
                None => Ok(()),
                Some(Error::Unavailable(source)) => Err(Error::Unavailable(source.take())),
                Some(Error::OutcomeUnknown(source)) => Err(Error::OutcomeUnknown(source.take())),
                Some(_) if !is_alone => self.write_rows(std::iter::once(&row)).await,
                Some(refused) => Err(std::mem::replace(refused, Error::OutcomeUnknown(None))),
            };
            // Whoever asked may be gone.
            let _ = written.send(told);
        }
    }

    /// The reverse index first, so that a sweep of the node finds whatever a crash left half done.
    async fn write_rows(&self, rows: impl Iterator<Item = &Row>) -> Result<(), Error> {
        let mut shared = Shared::default();
        let mut records = Vec::new();
        for row in rows {
            shared.add(&self.store, row);
            records.extend(self.store.record_write(row));
        }
        let Shared { reverse, groups } = shared;
        let keys = reverse.iter().map(|index| &index.key).chain(groups.iter().map(|group| &group.key));
        let due = self.expiries.due(keys.cloned());
        let mut calls: Vec<_> = reverse.into_iter().map(|index| index.call).collect();
        calls.append(&mut records);
        calls.extend(groups.into_iter().map(|group| group.call));
        calls.extend(due.iter().map(|key| self.store.expire(key)));
        self.store.rows().write(&calls).await?;
        self.expiries.note(due);
        Ok(())
    }
}

/// The calls to keys of several rows, mostly one of a kind.
#[derive(Default)]
struct Shared {
    reverse: Vec<Index<Generation>>,
    groups: Vec<Index<(Tenant, Topic, Generation)>>,
}

/// One call for all entries of a key.
struct Index<Of> {
    of: Of,
    key: String,
    call: Call,
}

impl Shared {
    fn add(&mut self, store: &Store, row: &Row) {
        let generation = row.generation;
        let index =
            place(&mut self.reverse, generation, "HSET", || store.keys.node_conns(&row.node_id, generation));
        index.push(text::number_of(&row.connection_id));
        index.push(&text::for_node(row));
        for group in groups_of(row) {
            let member = text::for_group(row, &group);
            let of = (row.tenant.clone(), group.clone(), generation);
            let index = place(&mut self.groups, of, "SADD", || {
                store.keys.group(&row.tenant, &group, &row.node_id, generation)
            });
            index.push(&member);
        }
    }
}

/// The call for what `of` names.
fn place<'a, Of: PartialEq>(
    indexes: &'a mut Vec<Index<Of>>,
    of: Of,
    command: &str,
    key: impl FnOnce() -> String,
) -> &'a mut Call {
    let place = indexes.iter().position(|index| index.of == of).unwrap_or_else(|| {
        let key = key();
        indexes.push(Index { of, call: Call::new(command).arg(&key), key });
        indexes.len() - 1
    });
    &mut indexes[place].call
}
