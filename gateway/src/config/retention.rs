//! What a kind of topics keeps of its durable messages, in one line of text.

use std::time::Duration;

use signalbox_protocol::Topic;
use signalbox_registry::log::Retention;

use super::units::{parse_bytes, parse_period};

/// Reads `order 5000 8MiB 10m`: the kind, and its messages, bytes and age.
pub(super) fn of_kind(text: &str) -> Option<(String, Retention)> {
    let mut words = text.split_ascii_whitespace();
    let kind = words.next().filter(|kind| Topic::of(kind, "any").is_ok())?;
    let messages_max = words.next()?.parse().ok().filter(|messages| *messages > 0)?;
    let bytes_max = parse_bytes(words.next()?)? as u64;
    let age = parse_period(words.next()?).filter(|age| *age >= Duration::from_secs(1))?;
    words.next().is_none().then(|| (kind.to_owned(), Retention { messages_max, bytes_max, age }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_says_what_it_keeps_in_one_line() {
        let retention = Retention { messages_max: 5_000, bytes_max: 8 << 20, age: Duration::from_secs(600) };
        assert_eq!(of_kind("order 5000 8MiB 10m"), Some(("order".to_owned(), retention)));
        for wrong in
            ["", "order", "Order 5 1KiB 1m", "order 0 1KiB 1m", "order 5 1KiB 1", "order 5 1KiB 1m x"]
        {
            assert_eq!(of_kind(wrong), None, "{wrong:?}");
        }
    }
}
