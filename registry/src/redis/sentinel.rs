//! Where the master is, as sentinels say.
//!
//! Each numbers what it knows by the epoch of the failover that it is from, which most of them had to agree to: so the
//! highest number is the newest, and one that was cut off with an old master is outvoted. After a failover one of them
//! knows of it first, and the others within seconds; what was heard once is not forgotten meanwhile.
//!
//! The one that carries a failover out counts it when another server has become the master, and goes on showing the old
//! one (`SENTINEL MASTER`) until all replicas follow the new one or their time is over. Where the master is it says right
//! all along (`SENTINEL GET-MASTER-ADDR-BY-NAME`, which is also what it tells the others).

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{ErrorKind, RedisError, Value};
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
        *known = newest(known.take().into_iter().chain(said));
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
        let mut questions = redis::Pipeline::new();
        questions.cmd("SENTINEL").arg("MASTER").arg(&self.service);
        questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        let answers = wire.connection.send_packed_commands(&questions, 0, 2).await?;
        let answers: Vec<Value> = answers.into_iter().map(Value::extract_error).collect::<Result<_, _>>()?;
        let (fields, address) = redis::from_redis_value(Value::Array(answers))?;
        read(&fields, address)
    }
}

fn read(fields: &HashMap<String, String>, address: Option<(String, u16)>) -> Result<Said, RedisError> {
    let epoch = fields.get("config-epoch").and_then(|epoch| epoch.parse().ok());
    let said = epoch.zip(address.map(|(host, port)| Address { host, port }));
    said.ok_or_else(|| (ErrorKind::UnexpectedReturnType, "a sentinel names no master").into())
}

/// The last one of those that know of the newest failover.
fn newest(said: impl IntoIterator<Item = Said>) -> Option<Said> {
    said.into_iter().max_by_key(|(epoch, _)| *epoch)
}

#[cfg(test)]
mod tests {
    use signalbox_protocol::NodeId;
    use signalbox_testkit as testkit;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::redis::config::{Mode, RedisConfig};
    use crate::redis::endpoint::Endpoint;

    fn fields(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_newest_failover_counts_and_of_one_what_was_said_last() {
        let said = [("7", "old"), ("9", "not yet"), ("9", "new"), ("7", "old")].map(|(epoch, host)| {
            read(&fields(&[("config-epoch", epoch)]), Some((host.to_owned(), 1))).unwrap()
        });
        assert_eq!(newest(said).unwrap().1.to_string(), "new:1");
        assert_eq!(newest([]), None);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let address = Some(("a".to_owned(), 1));
        for pairs in [vec![], vec![("config-epoch", "x")]] {
            assert!(read(&fields(&pairs), address.clone()).is_err(), "{pairs:?}");
        }
        assert!(read(&fields(&[("config-epoch", "1")]), None).is_err());
    }

    #[tokio::test]
    async fn who_has_not_done_with_a_failover_names_the_new_master_already() {
        let mut servers = testkit::Sentinels::start_with_straggler().await;
        let leader = servers.sentinel(0).port();
        let mut config = RedisConfig::new(&format!("redis://127.0.0.1:{leader}/"));
        config.mode =
            Mode::Sentinel { service: testkit::Sentinels::SERVICE.into(), user: None, password: None };
        let endpoint =
            Endpoint::try_new(&config, &NodeId::try_new("n").unwrap(), TaskTracker::new()).unwrap();
        endpoint.open(None).await.expect("the old master answers");
        servers.exchange().await;
        endpoint.open(None).await.expect("the new master answers");
        assert_eq!(endpoint.latest().unwrap().port, servers.master().port());
    }
}
