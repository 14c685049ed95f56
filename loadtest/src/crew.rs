//! Clients of a run, a task each, that end by themselves when they have done what they began.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::report::{Report, progress};

/// Waits for all of them, tells them to stop if that takes too long, and notes who could not go on.
pub(crate) async fn finish(
    mut clients: JoinSet<anyhow::Result<()>>,
    within: Duration,
    stop: &CancellationToken,
    report: &mut Report,
) {
    let mut errors = Vec::new();
    if timeout(within, join(&mut clients, &mut errors)).await.is_err() {
        stop.cancel();
        join(&mut clients, &mut errors).await;
    }
    progress("");
    if let Some(first) = errors.first() {
        report.failure(format!("{} clients gave up, the first: {first}", errors.len()));
    }
}

/// # Cancel safety
/// No error is lost.
async fn join(clients: &mut JoinSet<anyhow::Result<()>>, errors: &mut Vec<String>) {
    while let Some(ended) = clients.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => errors.push(format!("{error:#}")),
            Err(error) => errors.push(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_end_is_stopped_and_whoever_fails_is_told() {
        let (mut clients, stop) = (JoinSet::new(), CancellationToken::new());
        let stopped = stop.clone();
        clients.spawn(async { Ok(()) });
        clients.spawn(async move {
            stopped.cancelled().await;
            anyhow::bail!("first")
        });
        let mut report = Report::new("locks", String::new());
        finish(clients, WITHIN, &stop, &mut report).await;
        assert!(stop.is_cancelled());
        assert_eq!(report.failures(), ["1 clients gave up, the first: first"]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_ends_in_time_is_not_stopped() {
        let (mut clients, stop) = (JoinSet::new(), CancellationToken::new());
        clients.spawn(async {
            tokio::time::sleep(WITHIN / 2).await;
            Ok(())
        });
        let mut report = Report::new("locks", String::new());
        finish(clients, WITHIN, &stop, &mut report).await;
        assert!(!stop.is_cancelled() && report.failures().is_empty());
    }
}
