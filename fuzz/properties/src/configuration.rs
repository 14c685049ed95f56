//! A configuration file: it is taken, or every problem is told, and no secret with it.

use std::io::Write;

use signalbox_gateway::config::{Sources, load};

/// Stands in a file for a secret, which no message may repeat.
const CANARY: &str = "canary-7f3a";

/// The text of a file.
///
/// # Panics
/// When a file is refused without a reason, or what is said about it repeats what may be a password.
pub fn configuration(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("there is room for a file");
    file.write_all(bytes).expect("there is room for a file");
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    let Err(bad) = load(&sources) else { return };
    assert!(!bad.problems.is_empty());
    let text = String::from_utf8_lossy(bytes);
    if text.contains(&format!("url = \"redis://:{CANARY}@")) {
        assert!(!bad.to_string().contains(CANARY), "{bad}");
    }
}
