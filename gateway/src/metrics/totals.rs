//! Totals that others count and a scrape reads.

use prometheus::{IntCounter, Registry};
use signalbox_registry::bus::BusCounters;
use signalbox_registry::lock::LockCounters;
use signalbox_reservoir::cache::CacheCounters;
use signalbox_reservoir::strapi::StrapiCounters;

use super::make::counter;

/// Counters that follow the totals of a `T`.
#[derive(Debug, Clone)]
pub(super) struct Totals<T>(Vec<(IntCounter, Read<T>)>);

/// Picks one total.
type Read<T> = fn(&T) -> u64;

impl<T> Totals<T> {
    fn new(r: &Registry, all: &[(&str, &str, Read<T>)]) -> Self {
        Self(all.iter().map(|(name, help, read)| (counter(r, name, help), *read)).collect())
    }

    /// Brings the counters up to date.
    pub(super) fn set(&self, totals: &T) {
        for (counter, read) in &self.0 {
            counter.inc_by(read(totals).saturating_sub(counter.get()));
        }
    }
}

pub(super) fn of_bus(r: &Registry) -> Totals<BusCounters> {
    Totals::new(
        r,
        &[
            ("signalbox_bus_batches_sent_total", "Batches handed to the bus.", |bus| bus.batches_out),
            ("signalbox_bus_parcels_sent_total", "Parcels in the batches sent.", |bus| bus.parcels_out),
            ("signalbox_bus_sent_bytes_total", "Bytes of the batches sent.", |bus| bus.bytes_out),
            ("signalbox_bus_parcels_dropped_total", "Parcels that did not reach another node.", |bus| {
                bus.parcels_dropped
            }),
            ("signalbox_bus_batches_received_total", "Batches from other nodes.", |bus| bus.batches_in),
            ("signalbox_bus_parcels_received_total", "Parcels in the batches received.", |bus| {
                bus.parcels_in
            }),
            ("signalbox_bus_announcements_received_total", "Announcements of pools and orders.", |bus| {
                bus.announcements_in
            }),
            ("signalbox_bus_batches_late_total", "Batches refused as older than one seen.", |bus| {
                bus.batches_late
            }),
            ("signalbox_bus_batches_missed_total", "Batches missing in a stream.", |bus| bus.batches_missed),
            ("signalbox_bus_batches_malformed_total", "Batches that could not be read.", |bus| {
                bus.batches_malformed
            }),
            ("signalbox_bus_reconnects_total", "Times the subscription was built anew.", |bus| {
                bus.reconnects
            }),
        ],
    )
}

pub(super) fn of_locks(r: &Registry) -> Totals<LockCounters> {
    Totals::new(
        r,
        &[
            ("signalbox_lock_releases_total", "Locks released by their holders.", |locks| locks.releases),
            ("signalbox_lock_renewals_total", "Locks renewed.", |locks| locks.renewals),
            ("signalbox_lock_refusals_total", "Renewals and releases with a wrong token.", |locks| {
                locks.refusals
            }),
            ("signalbox_lock_waits_total", "Acquisitions that stood in line.", |locks| locks.waits),
            ("signalbox_lock_expiries_total", "Locks found expired while somebody waited.", |locks| {
                locks.expiries
            }),
            ("signalbox_lock_turns_missed_total", "Turns in a line that were not used.", |locks| {
                locks.turns_missed
            }),
        ],
    )
}

pub(super) fn of_cache(r: &Registry) -> Totals<CacheCounters> {
    Totals::new(
        r,
        &[
            ("signalbox_cache_hits_total", "Queries answered from the cache.", |cache| cache.hits),
            ("signalbox_cache_misses_total", "Queries that had to be loaded.", |cache| cache.misses),
            ("signalbox_cache_bypasses_total", "Queries that went around the cache.", |cache| cache.bypasses),
            ("signalbox_cache_invalidated_total", "Entries that a change of their pool ended.", |cache| {
                cache.invalidated
            }),
            (
                "signalbox_cache_refreshed_total",
                "Entries that were loaded anew before they ended.",
                |cache| cache.refreshed,
            ),
        ],
    )
}

pub(super) fn of_strapi(r: &Registry) -> Totals<StrapiCounters> {
    Totals::new(
        r,
        &[
            ("signalbox_strapi_written_total", "Changes that Strapi took.", |strapi| strapi.written),
            ("signalbox_strapi_retried_total", "Tries that failed and are made again.", |strapi| {
                strapi.retried
            }),
            ("signalbox_strapi_refused_total", "Changes that Strapi refused for good.", |strapi| {
                strapi.refused
            }),
            ("signalbox_strapi_undone_total", "Boardings that were undone for that.", |strapi| strapi.undone),
        ],
    )
}
