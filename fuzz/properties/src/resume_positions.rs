//! Where a client says that it was: any text, and a log's own position to judge it by.

use serde_json::value::RawValue;
use signalbox_protocol::control::{Position, ResumeRequest, parse_data};
use signalbox_registry::log::judge;

/// The data of `system:resume`.
///
/// # Panics
/// When a position is taken for one that is not: of another life, or of a number that was not given yet.
pub fn resume_positions(bytes: &[u8]) {
    let Ok(data) = serde_json::from_slice::<&RawValue>(bytes) else { return };
    let Ok(request) = parse_data::<ResumeRequest>(Some(data)) else { return };
    let end = Position { epoch: "1792700000000-1".to_owned(), offset: 7 };
    for position in request.positions.values() {
        let recovers = judge(position, &end).is_ok();
        let is_of_this_life = position.epoch == end.epoch && position.offset <= end.offset;
        assert!(!recovers || is_of_this_life, "{position:?} is no place of a log that ends at {end:?}");
    }
}
