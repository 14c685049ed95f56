//! Lets the driver of a connection wait for its turn, so that commands gather and go in one write.
//!
//! A task that sends a command wakes the driver, and the runtime runs whoever was woken last next: many
//! a command would be a write of its own. This future goes to the end of
//! the queue first; the tasks that were ready before it add their commands meanwhile.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Polls what it holds on every other poll, and asks for that one itself.
pub(super) struct Unhurried<F> {
    driver: Pin<Box<F>>,
    has_waited: bool,
}

impl<F: Future> Unhurried<F> {
    pub(super) fn new(driver: F) -> Self {
        Self { driver: Box::pin(driver), has_waited: true }
    }
}

impl<F: Future> Future for Unhurried<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.has_waited = !self.has_waited;
        if self.has_waited {
            return self.driver.as_mut().poll(cx);
        }
        // A task that wakes itself while it runs is put at the end.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn whoever_is_ready_comes_first() {
        let (sent, wake) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (seen, woken) = (Arc::clone(&sent), Arc::clone(&wake));
        let tracker = tokio_util::task::TaskTracker::new();
        let driver = tracker.spawn(Unhurried::new(async move {
            woken.notified().await;
            seen.load(Ordering::Relaxed)
        }));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        for _ in 0..8 {
            let (sent, wake) = (Arc::clone(&sent), Arc::clone(&wake));
            tracker.spawn(async move {
                sent.fetch_add(1, Ordering::Relaxed);
                wake.notify_one();
            });
        }
        assert_eq!(driver.await.unwrap(), 8, "the first of them woke it");
    }
}
