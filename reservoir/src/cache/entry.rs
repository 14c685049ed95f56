//! What an entry holds, and the answers that can be cut from it.

use crate::Waiting;
use crate::answer::cut;
use crate::repository::Area;

/// Metres around the radius that an entry holds. A position is at most 7.9 m from the one that it rounds to
/// (half of 0.0001 degrees each way, at the equator), and this is more than twice that: see
/// [`Entry::answer`].
pub(super) const MARGIN_M: f64 = 20.0;

/// Everybody who waited around a position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Nearest to the entry's position first.
    waiting: Vec<Waiting>,
    /// Metres from the entry's position behind which there may be others; `None` if these are all.
    all_within_m: Option<f64>,
}

impl Entry {
    /// The nearest `most` of the candidates around an area's middle.
    pub(super) fn of(candidates: Vec<Waiting>, around: &Area, most: usize) -> Self {
        let mut nearest = cut(candidates, around);
        let all_within_m = (nearest.len() > most).then(|| nearest[most].1);
        nearest.truncate(most);
        Self { waiting: nearest.into_iter().map(|(waiting, _)| waiting).collect(), all_within_m }
    }

    /// The answer for a position that rounds to the entry's; `None` if somebody nearer may be missing.
    pub(super) fn answer(&self, area: &Area) -> Option<Vec<(Waiting, f64)>> {
        let found = cut(self.waiting.iter().collect(), area);
        if let Some(all_within_m) = self.all_within_m {
            // Whoever is not in the entry is at least so far from its position, and less than the margin
            // nearer to this one. So nobody is missing if that leaves all of the area, or enough passengers,
            // inside.
            let certain_m = all_within_m - MARGIN_M;
            let enough = found.len() == area.limit && found.last().is_some_and(|(_, last)| *last < certain_m);
            if !enough && area.radius_m >= certain_m {
                return None;
            }
        }
        Some(found.into_iter().map(|(waiting, distance)| (waiting.clone(), distance)).collect())
    }

    /// Appends the entry as text: the metres, if there may be others, and two lines of JSON for each who waits.
    pub(super) fn write(&self, out: &mut String) {
        out.push_str(&self.all_within_m.map_or_else(String::new, |metres| metres.to_string()));
        out.push('\n');
        for line in self.waiting.iter().flat_map(Waiting::lines) {
            out.push_str(line);
            out.push('\n');
        }
    }

    /// Reads what [`Entry::write`] wrote; `None` if it is anything else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let metres = Some(lines.next()?).filter(|metres| !metres.is_empty());
        let all_within_m = metres.map(str::parse).transpose().ok()?;
        let mut waiting = Vec::new();
        while let Some(fixed) = lines.next() {
            waiting.push(Waiting::read([fixed, lines.next()?])?);
        }
        Some(Self { waiting, all_within_m })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::waiting::tests::passenger;

    proptest! {
        #[test]
        fn an_entry_reads_back(
            passengers in prop::collection::vec(passenger(), 0..4),
            all_within_m in prop::option::of(0.0..1e6_f64),
        ) {
            let entry = Entry { waiting: passengers.iter().map(Waiting::of).collect(), all_within_m };
            let mut text = String::new();
            entry.write(&mut text);
            prop_assert_eq!(Entry::read(&text), Some(entry));
            let (cut_short, _) = text.trim_end().rsplit_once('\n').unwrap_or_default();
            prop_assert!(passengers.is_empty() || Entry::read(cut_short).is_none());
        }
    }

    #[test]
    fn what_is_no_entry_is_not_read() {
        for text in ["", "x\n", "1.5\na\nb\n", "{\"passengers\":[],\"all_within_m\":null}"] {
            assert_eq!(Entry::read(text), None, "{text}");
        }
    }
}
