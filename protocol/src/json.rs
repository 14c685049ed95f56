//! The few things about JSON text that serde leaves to us.

/// Most characters of serde's own words that are passed on: they may quote what the client sent.
const QUOTED_CHARS_MAX: usize = 200;

/// A longer word is none of ours, nor most likely a name. It may be a token in the wrong place: those have 100 and more.
const WORD_CHARS_MAX: usize = 80;

/// Appends `text` as a JSON string, with quotes and escapes.
pub(crate) fn write_str(out: &mut Vec<u8>, text: &str) {
    // Without an early end, so that it is done sixteen bytes at a time.
    let is_escaped = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if !text.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        return out.push(b'"');
    }
    serde_json::to_writer(out, text).expect("a Vec takes every byte and a str is always a JSON string");
}

/// Appends a number.
pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    serde_json::to_writer(out, &number).expect("a Vec takes every byte and a number is always one of JSON");
}

/// What is wrong, without the line and column (they count from where this value started, which means
/// nothing to the reader), and not endlessly long.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let mut message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    if message.ends_with(&position) {
        message.truncate(message.len() - position.len());
    }
    message = message.split(' ').map(word).collect::<Vec<_>>().join(" ");
    shorten(&mut message);
    message
}

/// The word itself, unless it is too long to be told.
pub(crate) fn word(word: &str) -> &str {
    if word.chars().nth(WORD_CHARS_MAX).is_some() { "…" } else { word }
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
    fn a_text_is_written_as_serde_writes_it() {
        for text in ["", "plain", "ü and \u{7f}", "a\"b", "a\\b", "a\nb", "\u{0}", "\u{1f}", " "] {
            let mut out = Vec::new();
            write_str(&mut out, text);
            assert_eq!(out, serde_json::to_vec(text).unwrap(), "{text:?}");
        }
    }

    #[test]
    fn an_error_tells_neither_a_meaningless_place_nor_a_novel() {
        let error = serde_json::from_str::<u8>("\n \"x\"").unwrap_err();
        assert_eq!(without_position(&error), "invalid type: string \"x\", expected u8");
        let long = format!("\"{}\"", "é ".repeat(5_000));
        let error = serde_json::from_str::<u8>(&long).unwrap_err();
        assert_eq!(without_position(&error).chars().count(), QUOTED_CHARS_MAX + 1);
    }

    #[test]
    fn what_may_be_a_token_is_not_told_back() {
        let error = serde_json::from_str::<u8>(&format!("\"{}\"", "x".repeat(100))).unwrap_err();
        assert_eq!(without_position(&error), "invalid type: string … expected u8");
    }
}
