//! WebSockets: the way in (`upgrade`, `entrance`), the one task per connection (`socket`), what it makes of a message
//! (`dispatch`, `commands`), and the queue through which everybody else reaches it (`outbox`).

pub mod answer;
mod asker;
mod catch_up;
pub mod commands;
pub mod dispatch;
pub mod entrance;
pub mod frame;
pub mod handshake;
pub mod manner;
pub mod newcomer;
pub mod outbox;
pub mod prepare;
pub mod reader;
pub mod socket;
pub(crate) mod stream;
mod switching;
pub mod upgrade;
mod waits;
mod writing;

#[cfg(test)]
mod shared_tests;
