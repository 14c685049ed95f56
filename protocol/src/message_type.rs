//! `group:name`, the form of a message's type.

use crate::limits::MESSAGE_TYPE_CHARS_MAX;

/// Whether `text` is a message type: `[a-z_]+:[a-z_]+`, at most 64 characters.
pub fn is_message_type(text: &str) -> bool {
    let Some((group, name)) = text.split_once(':') else { return false };
    text.len() <= MESSAGE_TYPE_CHARS_MAX && is_word(group) && is_word(name)
}

/// What stands before the colon of a message type, e.g. `commuter`; the whole if there is none.
pub fn group(message_type: &str) -> &str {
    message_type.split_once(':').map_or(message_type, |(group, _)| group)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_two_words_of_small_letters() {
        let longest = format!("{}:{}", "g".repeat(31), "n".repeat(32));
        for good in ["commuter:spawned", "vehicle:position_update", "_:_", &longest] {
            assert!(is_message_type(good), "{good:?}");
        }
        let too_long = format!("{longest}n");
        for bad in [
            "",
            ":",
            "a",
            "a:",
            ":b",
            "a:b:c",
            "A:b",
            "a:b1",
            "a-b:c",
            "a: b",
            "é:b",
            "a:b\0",
            "commuter:*",
            &too_long,
        ] {
            assert!(!is_message_type(bad), "{bad:?}");
        }
        assert_eq!(group("vehicle:position_update"), "vehicle");
    }
}
