//! `/api/active-passengers`: finding, counting, writing and removing records.

use hyper::Method;
use serde_json::{Map, Value, json};
use signalbox_protocol::PassengerId;
use signalbox_protocol::fleet::{Passenger, PassengerState, Pool, PoolKind};

use super::client::Client;
use super::filters::{Filters, encode};
use super::record::{Record, attributes, pool_attribute, status_of};
use crate::store::StoreError;

const PATH: &str = "/api/active-passengers";
/// Ids of one look-up by ids: Strapi reads 100 of a list, and a URL has its bounds.
pub(super) const IDS_AT_ONCE: usize = 50;

/// The passengers in Strapi.
#[derive(Debug)]
pub(super) struct Collection {
    client: Client,
    page_size: usize,
}

/// Records in the order of their passengers' ids.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Those that could be read.
    pub(super) records: Vec<Record>,
    /// How many there are in all, behind these too.
    pub(super) total: usize,
    /// The last passenger's id, if there are more behind it.
    pub(super) last: Option<String>,
}

impl Collection {
    pub(super) fn new(client: Client, page_size: usize) -> Self {
        Self { client, page_size }
    }

    /// What goes for every list of a pool. A record with a route and a depot belongs to the route.
    pub(super) fn of_pool(pool: &Pool) -> Filters {
        let filters = Filters::default().and(pool_attribute(pool.kind()), "$eq", pool.id());
        match pool.kind() {
            PoolKind::Route => filters,
            PoolKind::Depot => filters.and(pool_attribute(PoolKind::Route), "$null", true),
        }
    }

    /// Those who wait, as Strapi knows.
    pub(super) fn waiting_in(pool: &Pool) -> Filters {
        Self::of_pool(pool).and("status", "$eq", status_of(PassengerState::Waiting))
    }

    /// One page, from behind the passenger `after`. Pages go by id and not by number: records that come and go
    /// in between would shift numbered ones, and some would never be seen.
    pub(super) async fn list(
        &self,
        filters: &Filters,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listed, StoreError> {
        let filters = match after {
            Some(last) => filters.clone().and("passenger_id", "$gt", last),
            None => filters.clone(),
        };
        let limit = limit.clamp(1, self.page_size);
        let path = format!("{PATH}?{}", filters.first(limit, "passenger_id").as_str());
        let answer = self.client.send(Method::GET, &path, None).await?;
        let unreadable = StoreError::Unreadable { what: "list" };
        let (Some(data), Some(total)) =
            (answer["data"].as_array(), answer.pointer("/meta/pagination/total").and_then(Value::as_u64))
        else {
            return Err(unreadable);
        };
        let total = usize::try_from(total).map_err(|_| unreadable)?;
        let last = data.last().and_then(|record| record["passenger_id"].as_str()).map(str::to_owned);
        Ok(Listed { records: readable(data), total, last: last.filter(|_| total > data.len()) })
    }

    /// All pages; `Err` with the total if there are more than `most` records.
    pub(super) async fn all(
        &self,
        filters: &Filters,
        most: usize,
    ) -> Result<Result<Vec<Record>, usize>, StoreError> {
        let mut page = self.list(filters, None, self.page_size).await?;
        if page.total > most {
            return Ok(Err(page.total));
        }
        let mut records = page.records;
        while let Some(last) = page.last {
            page = self.list(filters, Some(&last), self.page_size).await?;
            records.append(&mut page.records);
        }
        Ok(Ok(records))
    }

    /// How many records there are.
    pub(super) async fn count(&self, filters: &Filters) -> Result<usize, StoreError> {
        Ok(self.list(filters, None, 1).await?.total)
    }

    /// The records of these passengers.
    pub(super) async fn find_all(&self, ids: &[PassengerId]) -> Result<Vec<Record>, StoreError> {
        self.find_all_in(ids, &Filters::default()).await
    }

    /// The records of those of these passengers for whom the filters hold.
    pub(super) async fn find_all_in(
        &self,
        ids: &[PassengerId],
        filters: &Filters,
    ) -> Result<Vec<Record>, StoreError> {
        let mut found = Vec::new();
        for some in ids.chunks(IDS_AT_ONCE.min(self.page_size)) {
            let filters = filters.clone().one_of("passenger_id", some);
            found.append(&mut self.list(&filters, None, self.page_size).await?.records);
        }
        Ok(found)
    }

    /// A passenger's record.
    pub(super) async fn find(&self, id: &PassengerId) -> Result<Option<Record>, StoreError> {
        let filters = Filters::default().and("passenger_id", "$eq", id);
        Ok(self.list(&filters, None, 1).await?.records.into_iter().next())
    }

    pub(super) async fn create(&self, passenger: &Passenger) -> Result<Record, StoreError> {
        let body = json!({"data": attributes(passenger)});
        let answer = self.client.send(Method::POST, PATH, Some(&body)).await?;
        Record::read(&answer["data"]).ok_or(StoreError::Unreadable { what: "record" })
    }

    pub(super) async fn update(&self, document: &str, change: Map<String, Value>) -> Result<(), StoreError> {
        let body = json!({"data": change});
        self.client.send(Method::PUT, &path_of(document), Some(&body)).await.map(|_| ())
    }

    /// Removes a record; one that is gone already is as good.
    pub(super) async fn delete(&self, document: &str) -> Result<(), StoreError> {
        match self.client.send(Method::DELETE, &path_of(document), None).await {
            Err(StoreError::Answered { status: 404, .. }) => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

fn path_of(document: &str) -> String {
    let mut path = format!("{PATH}/");
    encode(&mut path, document);
    path
}

fn readable(data: &[Value]) -> Vec<Record> {
    let records: Vec<_> = data.iter().filter_map(Record::read).collect();
    if records.len() < data.len() {
        tracing::warn!(left_out = data.len() - records.len(), "strapi holds records that can't be read");
    }
    records
}
