//! Where the master is, as sentinels say.
//!
//! Each numbers what it knows by the epoch of the failover that it is from, which most of them had to agree to: so the
//! highest number is the newest, and one that was cut off with an old master is outvoted. After a failover one of them
//! knows of it first, and the others within seconds; what was heard once is not forgotten meanwhile.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{ErrorKind, RedisError};
use tokio::time::{Instant, timeout_at};

use super::address::Address;
use super::login::Login;
use crate::mutex::lock;

/// How long the last of them are waited for when most have answered.
const GRACE: Duration = Duration::from_millis(50);

/// Those who watch one master.
pub(super) struct Sentinels {
    addresses: Vec<Address>,
    service: String,
    login: Login,
    /// Longest wait for all of them.
    patience: Duration,
    /// The newest that was heard, as long as it proves true.
    known: Mutex<Option<Said>>,
}

/// What one of them says: the failover that it knows of, and who is the master since.
type Said = (u64, Address);

impl Sentinels {
    pub(super) fn new(addresses: Vec<Address>, service: String, login: Login, patience: Duration) -> Self {
        Self { addresses, service, login, patience, known: Mutex::default() }
    }

    /// Where the master is. Waits for most of them and a moment for the others, or for those that answer in time.
    pub(super) async fn master(&self) -> Result<Address, RedisError> {
        let mut until = Instant::now() + self.patience;
        let mut asked: FuturesUnordered<_> = self.addresses.iter().map(|address| self.ask(address)).collect();
        let (mut said, mut failed) = (Vec::new(), None);
        while let Ok(Some(answer)) = timeout_at(until, asked.next()).await {
            match answer {
                Ok(answer) => said.push(answer),
                Err(error) => failed = Some(error),
            }
            if said.len() > self.addresses.len() / 2 {
                until = until.min(Instant::now() + GRACE);
            }
        }
        if said.is_empty() {
            return Err(failed.unwrap_or_else(|| (ErrorKind::Io, "no sentinel answers").into()));
        }
        let mut known = lock(&self.known);
        said.extend(known.take());
        *known = newest(said);
        known
            .clone()
            .map(|(_, address)| address)
            .ok_or_else(|| (ErrorKind::Io, "nobody said anything").into())
    }

    /// What was heard did not prove true: the sentinels may have been set up anew and count from the beginning.
    pub(super) fn forget(&self) {
        lock(&self.known).take();
    }

    async fn ask(&self, address: &Address) -> Result<Said, RedisError> {
        let mut wire = self.login.open(address, None).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("MASTER").arg(&self.service);
        let answer = wire.connection.send_packed_command(&question).await?.extract_error()?;
        read(&redis::from_redis_value(answer)?)
    }
}

fn read(fields: &HashMap<String, String>) -> Result<Said, RedisError> {
    let said = || {
        let (host, port) = (fields.get("ip")?.clone(), fields.get("port")?.parse().ok()?);
        Some((fields.get("config-epoch")?.parse().ok()?, Address { host, port }))
    };
    said().ok_or_else(|| (ErrorKind::UnexpectedReturnType, "a sentinel names no master").into())
}

fn newest(said: Vec<Said>) -> Option<Said> {
    said.into_iter().max_by_key(|(epoch, _)| *epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_newest_failover_counts() {
        let said = [("7", "old"), ("9", "new"), ("7", "old")].map(|(epoch, host)| {
            read(&fields(&[("ip", host), ("port", "1"), ("config-epoch", epoch)])).unwrap()
        });
        assert_eq!(newest(said.to_vec()).unwrap().1.to_string(), "new:1");
        assert_eq!(newest(Vec::new()), None);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for pairs in [vec![], vec![("ip", "a"), ("port", "x"), ("config-epoch", "1")], vec![("ip", "a")]] {
            assert!(read(&fields(&pairs)).is_err(), "{pairs:?}");
        }
    }
}
