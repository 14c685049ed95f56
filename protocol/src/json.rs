//! The few things about JSON text that serde leaves to us.

/// Most characters of serde's own words that are passed on: they may quote what the client sent.
const QUOTED_CHARS_MAX: usize = 200;

/// Appends `text` as a JSON string, with quotes and escapes.
pub(crate) fn write_str(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes every byte and a str is always a JSON string");
}

/// What is wrong, without the line and column (they count from where this value started, which means
/// nothing to the reader), and not endlessly long.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let mut message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    if message.ends_with(&position) {
        message.truncate(message.len() - position.len());
    }
    shorten(&mut message);
    message
}

/// Cuts `message` after [`QUOTED_CHARS_MAX`] characters.
pub(crate) fn shorten(message: &mut String) {
    if let Some((end, _)) = message.char_indices().nth(QUOTED_CHARS_MAX) {
        message.truncate(end);
        message.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_neither_a_meaningless_place_nor_a_novel() {
        let error = serde_json::from_str::<u8>("\n \"x\"").unwrap_err();
        assert_eq!(without_position(&error), "invalid type: string \"x\", expected u8");
        let long = format!("\"{}\"", "é".repeat(5_000));
        let error = serde_json::from_str::<u8>(&long).unwrap_err();
        assert_eq!(without_position(&error).chars().count(), QUOTED_CHARS_MAX + 1);
    }
}
