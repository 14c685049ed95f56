//! What happened in a run: what was stored, and what each client was told, in its order.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use signalbox_registry::log::{Appended, Entry};
use tokio::time::Instant;

/// A tenant and a topic, as texts.
pub(crate) type Place = (String, String);

/// A place in a log: what was stored before and after the log was lost can't be mistaken for each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) life: String,
    pub(crate) offset: u64,
}

impl At {
    /// Of an epoch only what it says of what is stored: forced epochs go on counting.
    pub(crate) fn new(epoch: &str, offset: u64) -> Self {
        Self { life: epoch.split('.').next().unwrap_or_default().to_owned(), offset }
    }
}

/// Who something is told of: the place in [`History::clients`].
pub(crate) type Who = usize;

/// Something that a client did or was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// It was welcomed by this node.
    Connected { node: String },
    /// Its connection is over.
    Gone,
    /// It has forgotten where it was.
    Forgets,
    /// It was told that it follows a topic from here on.
    Starts { topic: String, at: At },
    /// It was told how a topic goes on.
    Resumed { topic: String, recovered: bool, at: At },
    /// It was told that it has left a topic.
    Leaves { topic: String },
    /// It got a stored message.
    Got { topic: String, offset: u64, id: String },
    /// It got a message that is not stored; the sender's own name for its connection, and its number there.
    Heard { topic: String, tenant: String, sender: String, number: u64, id: String },
    /// It was told that its message is stored there.
    Acknowledged { topic: String, at: At, id: String },
    /// It asks for a message to be handed to somebody.
    Asks { target: String, id: String },
    /// It was told that this was done, or that nobody is there.
    Answered { id: String, done: bool },
}

/// A node could not be relied upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsteady {
    pub(crate) node: String,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// A client, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) tenant: String,
    pub(crate) agent: String,
}

/// What is recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) clients: Vec<Client>,
    pub(crate) lines: Vec<(Duration, Who, Line)>,
    /// The lives of all logs, one after the other.
    pub(crate) lives: Vec<String>,
    /// The id of each message, by topic and place, and when it was stored.
    pub(crate) stored: BTreeMap<Place, BTreeMap<At, (String, Duration)>>,
    /// Places in which two messages were stored under one number.
    pub(crate) contradictions: Vec<String>,
    pub(crate) unsteady: Vec<Unsteady>,
    /// Broken promises that were seen at once.
    pub(crate) blamed: Vec<String>,
}

/// Shared by all clients and nodes of a run.
#[derive(Debug)]
pub(crate) struct History {
    record: Mutex<Record>,
    began: Instant,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { record: Mutex::default(), began: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn client(&self, tenant: &str, agent: &str) -> Who {
        let mut record = self.lock();
        record.clients.push(Client { tenant: tenant.to_owned(), agent: agent.to_owned() });
        record.clients.len() - 1
    }

    pub(crate) fn tell(&self, who: Who, line: Line) {
        let at = self.began.elapsed();
        self.lock().lines.push((at, who, line));
    }

    pub(crate) fn stored(&self, entry: &Entry, appended: &Appended) {
        let at = At::new(&appended.position.epoch, appended.position.offset);
        let place = (entry.tenant.to_string(), entry.topic.to_string());
        let now = self.began.elapsed();
        let mut record = self.lock();
        let of_topic = record.stored.entry(place).or_default();
        let known = of_topic.get(&at).map(|(id, _)| id.clone());
        match known {
            Some(known) if known != entry.id => {
                let text = format!("{} and {} are both {at:?} of {}", known, entry.id, entry.topic);
                record.contradictions.push(text);
            }
            Some(_) => {}
            None if appended.duplicate => {
                let text = format!("{} was called a duplicate, and is not in {}", entry.id, entry.topic);
                record.contradictions.push(text);
            }
            None => drop(of_topic.insert(at, (entry.id.clone(), now))),
        }
    }

    /// All that is stored from now on is of the life that this epoch is of.
    pub(crate) fn lives(&self, epoch: &str) {
        self.lock().lives.push(At::new(epoch, 0).life);
    }

    /// A node can't be relied upon from `from` until now, and `after` more.
    pub(crate) fn unsteady(&self, node: &str, from: Instant, after: Duration) {
        let (from, until) = (from - self.began, self.began.elapsed() + after);
        self.lock().unsteady.push(Unsteady { node: node.to_owned(), from, until });
    }

    pub(crate) fn blame(&self, what: String) {
        self.lock().blamed.push(what);
    }

    pub(crate) fn record(&self) -> Record {
        self.lock().clone()
    }
}
