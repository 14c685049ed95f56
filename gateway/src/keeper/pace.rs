//! Work on many connections, a few in a row: whoever has a message meanwhile waits for one row and not for all of them.

use std::slice::Chunks;
use std::time::Duration;

use tokio::time::{Instant, Interval, interval_at};

/// Ticks once a second. Nodes that started together do not tick together: where they share a machine their rows would fall on
/// each other.
pub(super) fn each_second() -> Interval {
    const SECOND: Duration = Duration::from_secs(1);
    interval_at(Instant::now() + SECOND.mul_f64(fastrand::f64()), SECOND)
}

/// Rows of at most `size`, and the pause behind each with which all of them are through `within` that time.
pub(super) fn rows<T>(all: &[T], size: usize, within: Duration) -> (Chunks<'_, T>, Duration) {
    let rows = all.chunks(size);
    let pause = within / u32::try_from(rows.len()).unwrap_or(u32::MAX).max(1);
    (rows, pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_in_some_row_and_the_pauses_fill_the_time() {
        let (of_all, pause) = rows(&[1, 2, 3, 4, 5], 2, Duration::from_millis(300));
        assert_eq!(of_all.collect::<Vec<_>>(), [&[1, 2][..], &[3, 4], &[5]]);
        assert_eq!(pause, Duration::from_millis(100));
        assert_eq!(rows::<u8>(&[], 2, Duration::from_secs(1)).0.len(), 0);
    }
}
