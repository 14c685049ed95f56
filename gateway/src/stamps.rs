//! Time and ids for what the node makes itself. The protocol crate has neither clock nor dice.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use uuid::Uuid;

/// Milliseconds since 1970, by the machine's clock.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A fresh message id: UUIDv7, so that ids sort by time.
#[derive(Debug)]
pub struct MessageId([u8; uuid::fmt::Hyphenated::LENGTH]);

impl MessageId {
    /// Makes one.
    pub fn fresh() -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        Uuid::now_v7().hyphenated().encode_lower(&mut text);
        Self(text)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a hyphenated UUID is ASCII")
    }
}

/// Unguessable text of `chars` hexadecimal characters (at most 32, of which 2 are known).
pub fn unguessable(chars: usize) -> String {
    let mut text = Uuid::new_v4().simple().to_string();
    text.truncate(chars);
    text
}

/// Seconds of this process, cheap to keep in a connection.
#[derive(Debug, Clone, Copy)]
pub struct Uptime(Instant);

impl Uptime {
    /// Starts at zero now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Whole seconds since the start.
    pub fn seconds(&self) -> u32 {
        u32::try_from(self.0.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}
