//! The protocol as a whole: golden messages, the reference in `docs/protocol.md`, and properties.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should fail where it stands")]

mod golden;
mod properties;
mod reference;
