//! What everything that has to do with Strapi works with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use signalbox_protocol::Tenant;
use signalbox_registry::Backing;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::Client;
use super::collection::Collection;
use super::counters::Counters;
use super::settings::{InvalidSettings, StrapiSettings};
use crate::outbox::Outbox;
use crate::store::StoreError;
use crate::{Error, Repository};

/// Strapi, the claims that decide, and the outbox between them.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) settings: StrapiSettings,
    pub(super) collection: Collection,
    pub(super) claims: Arc<dyn Repository>,
    pub(super) outbox: Outbox,
    pub(super) counters: Counters,
    /// Wakes the worker: something was put into the outbox.
    pub(super) wake: Notify,
    /// When this node last looked in Strapi for waits that are over.
    pub(super) looked_for_overdue: Mutex<Option<Instant>>,
}

impl Store {
    pub(super) fn try_new(
        settings: StrapiSettings,
        claims: Arc<dyn Repository>,
        backing: &Backing,
        (tracker, stop): (&TaskTracker, CancellationToken),
    ) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let client = Client::try_new(&settings, tracker.clone(), stop)?;
        Ok(Self {
            collection: Collection::new(client, settings.page_size),
            outbox: Outbox::new(backing, settings.tenant.clone(), settings.outbox_max),
            settings,
            claims,
            counters: Counters::default(),
            wake: Notify::new(),
            looked_for_overdue: Mutex::new(None),
        })
    }

    /// Whether Strapi holds this tenant's passengers; those of others are with the claims alone.
    pub(super) fn holds(&self, tenant: &Tenant) -> bool {
        self.settings.tenant == *tenant
    }

    /// Whether the outbox takes one more change.
    pub(super) async fn has_room(&self) -> Result<(), Error> {
        match self.outbox.full().await? {
            Some(waiting) => Err(StoreError::OutboxFull { waiting }.into()),
            None => Ok(()),
        }
    }

    /// Runs what talks to Strapi, some of it at a time, all of it to its end.
    pub(super) async fn in_parallel<F: Future>(&self, work: Vec<F>) -> Vec<F::Output> {
        stream::iter(work).buffer_unordered(self.settings.parallel).collect().await
    }

    /// By when a push must have ended that begins now: its own time, and as much again for what it left.
    pub(super) fn push_ends_within(&self) -> Duration {
        self.settings.push_timeout * 2
    }
}
