//! What an agent may do: `verb:what`, where `what` may end with a star.
//!
//! | capability | is for, over WebSocket and HTTP alike |
//! | --- | --- |
//! | `publish:TYPE` | sending messages of that type, as itself |
//! | `subscribe:TOPIC` | following a topic, and seeing who is there |
//! | `lock:RESOURCE` | acquiring, renewing, releasing and seeing a lock; `lock:*`: all that are held |
//! | `order:ID` | viewing and accepting an order, and seeing who views it |
//! | `query:POOL` | asking who waits in a pool, and for passengers of it; `query:*`: in all pools |
//! | `push:POOL` | letting passengers wait in a pool, and cancelling them |
//! | `board:VEHICLE` | boarding and alighting with a vehicle, its seats, its manifest |
//! | `see:connections`, `see:topics` | seeing all of the tenant's |
//! | `end:connections` | disconnecting others of the tenant |
//! | `end:tokens` | revoking tokens of the tenant, and seeing which are |
//! | `admin:nodes` | seeing and draining nodes, which concerns all tenants |

use std::fmt;
use std::str::FromStr;

use signalbox_protocol::Agent;
use thiserror::Error;

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Send messages of a type.
    Publish,
    /// Follow a topic.
    Subscribe,
    /// Use a lock.
    Lock,
    /// View or accept an order.
    Order,
    /// Ask who waits.
    Query,
    /// Let passengers wait.
    Push,
    /// Board and alight.
    Board,
    /// See what the tenant has.
    See,
    /// Disconnect others.
    End,
    /// What concerns all tenants.
    Admin,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Publish,
        Self::Subscribe,
        Self::Lock,
        Self::Order,
        Self::Query,
        Self::Push,
        Self::Board,
        Self::See,
        Self::End,
        Self::Admin,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Lock => "lock",
            Self::Order => "order",
            Self::Query => "query",
            Self::Push => "push",
            Self::Board => "board",
            Self::See => "see",
            Self::End => "end",
            Self::Admin => "admin",
        }
    }
}

/// One thing that may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    verb: Verb,
    /// What it may be done to; with `is_prefix`, to all that begins so.
    what: String,
    is_prefix: bool,
}

/// Not a capability.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("not a capability: has to be VERB:WHAT, WHAT may end with a star; the verbs are {}", verbs())]
pub struct InvalidCapability;

fn verbs() -> String {
    Verb::ALL.map(Verb::as_str).join(", ")
}

impl FromStr for Capability {
    type Err = InvalidCapability;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (verb, what) = text.split_once(':').ok_or(InvalidCapability)?;
        let verb = Verb::ALL.into_iter().find(|known| known.as_str() == verb).ok_or(InvalidCapability)?;
        let (what, is_prefix) = what.strip_suffix('*').map_or((what, false), |front| (front, true));
        let is_name = what.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
        if !is_name || (what.is_empty() && !is_prefix) || text.len() > Capabilities::CHARS_MAX {
            return Err(InvalidCapability);
        }
        Ok(Self { verb, what: what.to_owned(), is_prefix })
    }
}

impl Capability {
    fn allows(&self, verb: Verb, what: &str) -> bool {
        let fits = if self.is_prefix { what.starts_with(&self.what) } else { what == self.what };
        self.verb == verb && fits
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}{}", self.verb.as_str(), self.what, if self.is_prefix { "*" } else { "" })
    }
}

/// All that an agent may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities(Vec<Capability>);

impl Capabilities {
    /// Most capabilities of one agent.
    pub const MAX: usize = 64;
    /// Longest capability.
    pub const CHARS_MAX: usize = 256;

    /// Everything.
    pub fn all() -> Self {
        Self(Verb::ALL.map(anything).to_vec())
    }

    /// What an agent may whose token does not say. A service: everything in its tenant, so that the server's API is
    /// open to services. The others: what clients do, and those on the road what they need for it.
    pub fn usual(agent: &Agent) -> Self {
        use Verb::{Lock, Order, Publish, Query, Subscribe};
        let everybody = [Publish, Subscribe, Lock, Order].map(anything);
        let crew = everybody.iter().cloned().chain([anything(Query)]);
        match agent.agent_type() {
            "service" => {
                Self(Verb::ALL.into_iter().filter(|verb| *verb != Verb::Admin).map(anything).collect())
            }
            "conductor" => Self(crew.chain([anything(Verb::Board)]).collect()),
            "vehicle" => {
                let itself = agent.agent_id().to_owned();
                let board = Capability { verb: Verb::Board, what: itself, is_prefix: false };
                Self(crew.chain([board]).collect())
            }
            "driver" => Self(crew.collect()),
            _ => Self(everybody.to_vec()),
        }
    }

    /// These.
    ///
    /// # Errors
    /// [`InvalidCapability`].
    pub fn parse(names: &[String]) -> Result<Self, InvalidCapability> {
        Ok(Self(names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?))
    }

    /// Whether it may be done; `what` of `*` stands for all that there is.
    pub fn allow(&self, verb: Verb, what: &str) -> bool {
        self.0.iter().any(|capability| capability.allows(verb, what))
    }

    /// Whether it may be done to anything at all.
    pub fn allow_some(&self, verb: Verb) -> bool {
        self.0.iter().any(|capability| capability.verb == verb)
    }
}

fn anything(verb: Verb) -> Capability {
    Capability { verb, what: String::new(), is_prefix: true }
}
