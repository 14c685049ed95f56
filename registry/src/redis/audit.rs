//! Looking at what Redis holds of this node's connections, a page at a time: for whoever compares it with the sockets.

use redis::Value;

use super::call::{Call, read, read_next};
use super::directory::RedisDirectory;
use super::text;
use crate::directory::{OwnPage, PageAfter};
use crate::{Error, Row, ThisNode};

/// About how many rows a page has: Redis is busy for a sixth of a millisecond with them. A node with few connections gets
/// all at once.
const PAGE_ROWS: usize = 64;

impl RedisDirectory {
    /// A page of the rows that stand under the node's generation of now.
    pub(super) async fn page_of(&self, node: &ThisNode, after: PageAfter) -> Result<OwnPage, Error> {
        let generation = node.generation();
        let key = self.store.keys.node_conns(node.id(), generation);
        let scan = Call::new("HSCAN").arg(key).arg(after.0).arg("COUNT").arg(PAGE_ROWS);
        let answer = self.store.bulk().await?.one(scan).await?;
        let (next, pairs): (u64, Vec<(String, String)>) = read(answer, "reverse index")?;
        let rows = pairs.iter().map(|(number, row)| text::of_node(node.id(), generation, number, row));
        Ok(OwnPage { rows: rows.collect::<Result<_, _>>()?, next: (next != 0).then_some(PageAfter(next)) })
    }

    /// Which of `rows` can't be found by their agent, or not from their id.
    pub(super) async fn not_found(&self, rows: &[Row]) -> Result<Vec<Row>, Error> {
        // The rows of one index are asked for together.
        let indexes = || rows.chunk_by(|a, b| (&a.node_id, a.generation) == (&b.node_id, b.generation));
        let calls: Vec<_> = indexes()
            .map(|rows| self.ids_of(rows))
            .chain(rows.iter().map(|row| self.record_of(row)))
            .collect();
        let mut answers = self.store.bulk().await?.run(&calls).await?.into_iter();
        let mut by_id = Vec::with_capacity(rows.len());
        for _ in indexes() {
            by_id.extend(read_next::<Vec<Value>>(&mut answers, "reverse index")?);
        }
        let mut unfound = Vec::new();
        for (row, reverse) in rows.iter().zip(by_id) {
            let record: Option<String> = read_next(&mut answers, "row")?;
            let prefix = text::generation_prefix(row.generation);
            let stands = record.is_some_and(|record| record.starts_with(&prefix));
            if !stands || reverse == Value::Nil {
                unfound.push(row.clone());
            }
        }
        Ok(unfound)
    }

    /// Asks what one index holds of these rows.
    fn ids_of(&self, rows: &[Row]) -> Call {
        let index = self.store.keys.node_conns(&rows[0].node_id, rows[0].generation);
        let call = Call::new("HMGET").arg(index);
        rows.iter().fold(call, |call, row| call.arg(text::number_of(&row.connection_id)))
    }

    fn record_of(&self, row: &Row) -> Call {
        let record = self.store.keys.agent(&row.tenant, &row.agent);
        Call::new("HGET").arg(record).arg(row.connection_id.as_str())
    }
}
