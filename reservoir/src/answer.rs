//! What a query is answered with, and the cut that makes an answer of candidates.

use std::borrow::Borrow;

use signalbox_protocol::timestamp::{self, Timestamp};

use crate::Waiting;
use crate::repository::Area;

/// Most bytes of a distance with its name, and of what closes a passenger.
const DISTANCE_BYTES_MAX: usize = 48;

/// Room for what a caller puts behind the list.
const BEHIND_BYTES: usize = 256;

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The cache, or a load that another asker had begun.
    Hit,
    /// The repository, by way of the cache.
    Miss,
    /// The repository: there is no cache, or it can't be reached.
    Bypass,
}

/// Who waits near a position.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Each with the distance in metres, nearest first; of equal distance by id.
    pub found: Vec<(Waiting, f64)>,
    /// Where it came from.
    pub source: Source,
}

impl Answer {
    /// Appends who was found, as a JSON array of [`Found`](signalbox_protocol::control::Found) passengers.
    pub fn write_passengers(&self, out: &mut Vec<u8>) {
        self.write(out, Waiting::as_passenger, "");
    }

    /// Appends who was found, as a JSON array of found passengers as an event of that moment tells them.
    pub fn write_events(&self, out: &mut Vec<u8>, now: Timestamp) {
        self.write(out, Waiting::as_event, &format!(r#","timestamp":"{}""#, timestamp::to_string(now.0)));
    }

    fn write(&self, out: &mut Vec<u8>, told: fn(&Waiting) -> &str, also: &str) {
        let bytes = |(waiting, _): &(Waiting, f64)| told(waiting).len() + also.len() + DISTANCE_BYTES_MAX;
        out.reserve(self.found.iter().map(bytes).sum::<usize>() + BEHIND_BYTES);
        out.push(b'[');
        for (number, (waiting, distance_m)) in self.found.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            for part in [told(waiting), also, r#","distance_m":"#] {
                out.extend_from_slice(part.as_bytes());
            }
            serde_json::to_writer(&mut *out, distance_m).expect("a number is written as JSON, to memory");
            out.push(b'}');
        }
        out.push(b']');
    }
}

/// What of the candidates is in the area, nearest first, and no more than wanted.
pub(crate) fn cut<W: Borrow<Waiting>>(candidates: Vec<W>, area: &Area) -> Vec<(W, f64)> {
    let with_distance = |waiting: W| {
        let distance = waiting.borrow().position().distance_m(area.center);
        (waiting, distance)
    };
    let mut found: Vec<_> = candidates.into_iter().map(with_distance).collect();
    found.retain(|(_, distance)| *distance <= area.radius_m);
    let by_id = |a: &W, b: &W| a.borrow().passenger_id().cmp(b.borrow().passenger_id());
    found.sort_by(|(a, a_m), (b, b_m)| a_m.total_cmp(b_m).then_with(|| by_id(a, b)));
    found.truncate(area.limit);
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;
    use signalbox_protocol::control::Found;

    use super::*;
    use crate::waiting::tests::passenger;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    proptest! {
        #[test]
        fn an_answer_is_told_as_its_passengers_are(
            found in prop::collection::vec((passenger(), 0.0..1e7_f64), 0..4),
        ) {
            let waiting = found.iter().map(|(passenger, metres)| (Waiting::of(passenger), *metres)).collect();
            let answer = Answer { found: waiting, source: Source::Bypass };
            let read = |json: &[u8]| -> Value { serde_json::from_slice(json).unwrap() };
            let [mut passengers, mut events] = [Vec::new(), Vec::new()];
            answer.write_passengers(&mut passengers);
            answer.write_events(&mut events, NOW);
            let told: Vec<_> =
                found.iter().map(|(passenger, distance_m)| Found { passenger, distance_m: *distance_m }).collect();
            prop_assert_eq!(read(&passengers), read(&serde_json::to_vec(&told).unwrap()));
            let told: Vec<_> = told
                .into_iter()
                .map(|Found { passenger, distance_m }| Found { passenger: passenger.event(NOW), distance_m })
                .collect();
            prop_assert_eq!(read(&events), read(&serde_json::to_vec(&told).unwrap()));
        }
    }
}
