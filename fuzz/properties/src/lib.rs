//! What holds whatever bytes come: each function takes any bytes and panics when its property does not hold.
//!
//! The fuzzer calls them with what it thinks of (`fuzz/fuzz_targets`), the tests with what was found worth keeping
//! (`fuzz/corpus`).

mod bus_batch;
mod configuration;
mod envelope;
mod handshake;
mod resume_positions;
mod token;

pub use bus_batch::bus_batch;
pub use configuration::configuration;
pub use envelope::envelope;
pub use handshake::handshake;
pub use resume_positions::resume_positions;
pub use token::token;
