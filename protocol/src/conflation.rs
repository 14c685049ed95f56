//! Which ephemeral messages replace one another in a queue: the newest of a key wins.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The key under which an event conflates: two messages of the same type, topic and source share it.
/// Never 0, so that 0 can stand for "does not conflate".
///
/// The same on every node of the same build. It may differ between builds (the standard library
/// doesn't promise its hash); then the old message of a pair is delivered too, which harms nobody.
/// The hash is `SipHash` because the parts are chosen by clients: with a simpler one, a client could
/// find a name that collides with another's and make that one's messages vanish.
pub fn conflation_key(message_type: &str, topic: &str, source: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (message_type, topic, source).hash(&mut hasher);
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_all_three_parts_and_on_nothing_else() {
        let key = conflation_key("vehicle:position_update", "route:12", "vehicle:V1");
        assert_eq!(key, conflation_key("vehicle:position_update", "route:12", "vehicle:V1"));
        for other in [
            conflation_key("vehicle:status_change", "route:12", "vehicle:V1"),
            conflation_key("vehicle:position_update", "route:1", "vehicle:V1"),
            conflation_key("vehicle:position_update", "route:12", "vehicle:V2"),
            conflation_key("vehicle:position_update", "route:1", "2vehicle:V1"),
        ] {
            assert_ne!(key, other);
        }
    }
}
