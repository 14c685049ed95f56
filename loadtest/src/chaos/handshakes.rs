//! How many handshakes there were in the worst second.

use tokio::time::Instant;

/// Attempts to connect, by the second in which they began.
#[derive(Debug)]
pub(crate) struct Handshakes {
    began: Instant,
    seconds: Vec<u64>,
}

impl Handshakes {
    pub(crate) fn starting_now() -> Self {
        Self { began: Instant::now(), seconds: Vec::new() }
    }

    /// One more, successful or not.
    pub(crate) fn count(&mut self) {
        let second = self.began.elapsed().as_secs() as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, 0);
        }
        self.seconds[second] += 1;
    }

    /// The most in a second.
    pub(crate) fn peak(&self) -> u64 {
        self.seconds.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_worst_second_is_told() {
        let mut handshakes = Handshakes::starting_now();
        assert_eq!(handshakes.peak(), 0);
        for (number, wait) in [(3, 2_500), (5, 1_000), (1, 0)] {
            (0..number).for_each(|_| handshakes.count());
            tokio::time::advance(Duration::from_millis(wait)).await;
        }
        assert_eq!(handshakes.peak(), 5);
    }
}
