//! Waiting for something to become true.

use std::time::Duration;

use tokio::time::Instant;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Returns as soon as `holds` answers true, and how long that took.
///
/// # Panics
/// When it does not within `deadline`; the message says `what` was waited for.
pub async fn eventually<F, Fut>(what: &str, deadline: Duration, mut holds: F) -> Duration
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let begun = Instant::now();
    let wait = async {
        while !holds().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(deadline, wait).await {
        Ok(()) => begun.elapsed(),
        Err(_) => panic!("not within {deadline:?}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_returns_when_the_condition_holds() {
        let mut looks = 0;
        let took = eventually("the fifth look", Duration::from_secs(1), || {
            looks += 1;
            std::future::ready(looks == 5)
        });
        assert_eq!(took.await, 4 * LOOK_EVERY);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "not within 1s: the impossible")]
    async fn it_gives_up_at_its_deadline_even_inside_a_look() {
        eventually("the impossible", Duration::from_secs(1), std::future::pending).await;
    }
}
