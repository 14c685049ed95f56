//! What a run under faults is made of: the servers that suffer, the faults, the clients, and who judges.
//!
//! Everything happens in the tester's one thread: clients, the paths that are made to fail, and the judge, who so
//! sees sends, acknowledgements and deliveries in the order in which they happened. Whatever was started ends with
//! the value that holds it.

mod bounds;
mod crowd;
mod faults;
mod ghosts;
mod handshakes;
mod oracle;
mod slow;
mod stage;

pub(crate) use bounds::check;
pub(crate) use crowd::{Crowd, Tally, Traffic};
pub(crate) use faults::Nemesis;
pub(crate) use oracle::Verdict;
pub(crate) use slow::SlowReaders;
pub(crate) use stage::Stage;
