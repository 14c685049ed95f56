//! The sections of [`Config`](super::Config): typed values and their defaults, nothing else.
//! Units and reasons stand in [`SETTINGS`](super::SETTINGS), in files of like names.

mod auth;
mod delivery;
mod entrance;
mod fleet;
mod node;
mod operation;
mod redis;
mod shares;
mod tls;
mod trace;
mod traffic;

pub use self::auth::Auth;
pub use self::delivery::{Bus, Durable};
pub use self::entrance::{Admission, Connection, Handshake, Heartbeat, Message};
pub use self::fleet::{Orders, Reservoir, Strapi};
pub use self::node::Node;
pub use self::operation::{Log, LogFormat, Runtime, Stop};
pub use self::redis::{Redis, RedisMode};
pub use self::shares::{Http, Limits, Proxy};
pub use self::tls::Tls;
pub use self::trace::Trace;
pub use self::traffic::{Catalogue, Close, Flood, Malformed, Outbox, RouteCache};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
