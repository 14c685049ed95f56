//! The same traffic by clients of any product.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use signalbox_client::protocol::Target;
use tokio::sync::mpsc;

use super::{DUE_MAX, Traffic, Window};
use crate::observed::Shared;
use crate::peers::Caller;
use crate::tick::Tick;

/// Bytes that may be queued before they are written.
const QUEUED_MAX: usize = 64;

impl Traffic {
    /// As [`Traffic::receive`].
    pub(crate) fn follow(&mut self, receiver: usize, mut caller: Caller, window: Option<Rc<Window>>) {
        let (stop, observed) = (self.stop.clone(), Rc::clone(&self.observed));
        self.tasks.spawn_local(async move {
            let receiving = async {
                loop {
                    let heard = |message: &[u8], at| {
                        let delivered = observed.borrow_mut().heard(receiver, message, at);
                        if let (true, Some(window)) = (delivered, &window) {
                            window.give_back();
                        }
                    };
                    caller.hear(heard).await?;
                }
            };
            end_of(stop.run_until_cancelled(receiving).await, &observed);
        });
    }

    /// As [`Traffic::send_at_full_speed`].
    pub(crate) fn publish_at_full_speed(&mut self, number: usize, caller: Caller, window: Rc<Window>) {
        let mut publisher = self.publisher(number, caller);
        let (stop, timeline) = (self.stop.clone(), self.timeline);
        self.tasks.spawn_local(async move {
            let sending = async {
                loop {
                    for _ in 0..QUEUED_MAX {
                        if timeline.began.elapsed() >= timeline.end() || !window.take() {
                            break;
                        }
                        publisher.queue(timeline.began.elapsed());
                    }
                    publisher.caller.flush().await?;
                    if timeline.began.elapsed() < timeline.end() && window.has_room() {
                        continue;
                    }
                    tokio::select! {
                        unasked = publisher.listen() => unasked?,
                        () = window.changed.notified() => {}
                    }
                }
            };
            end_of(stop.run_until_cancelled(sending).await, &publisher.observed);
        });
    }

    /// As [`Traffic::send_when_due`].
    pub(crate) fn publish_when_due(&mut self, number: usize, caller: Caller) -> mpsc::Sender<Duration> {
        let (due_sender, mut due_messages) = mpsc::channel(DUE_MAX);
        let mut publisher = self.publisher(number, caller);
        let stop = self.stop.clone();
        self.tasks.spawn_local(async move {
            let sending = async {
                loop {
                    tokio::select! {
                        Some(due) = due_messages.recv() => {
                            publisher.queue(due);
                            for _ in 1..QUEUED_MAX {
                                let Ok(due) = due_messages.try_recv() else { break };
                                publisher.queue(due);
                            }
                            publisher.caller.flush().await?;
                        }
                        unasked = publisher.listen() => unasked?,
                    }
                }
            };
            end_of(stop.run_until_cancelled(sending).await, &publisher.observed);
        });
        due_sender
    }

    fn publisher(&self, number: usize, caller: Caller) -> Publisher {
        let (observed, payload_bytes) = (Rc::clone(&self.observed), self.payload_bytes);
        Publisher { caller, number, payload_bytes, observed, sent: 0 }
    }
}

/// One client that publishes.
#[derive(Debug)]
struct Publisher {
    caller: Caller,
    number: usize,
    payload_bytes: usize,
    observed: Shared,
    sent: u64,
}

impl Publisher {
    /// Queues its next message, which was due then.
    fn queue(&mut self, due: Duration) {
        let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        let tick = Tick { from: self.number as u32, number: self.sent, due_ns };
        self.caller.publish(&tick.message(&Target::Default, self.payload_bytes));
        self.sent += 1;
        self.observed.borrow_mut().sent(self.number, due);
    }

    /// It follows nothing: whatever is told to it is an error.
    async fn listen(&mut self) -> io::Result<()> {
        let observed = &self.observed;
        self.caller.hear(|message, _| observed.borrow_mut().error(&String::from_utf8_lossy(message))).await
    }
}

/// A task that was not stopped lost its connection.
fn end_of(result: Option<io::Result<()>>, observed: &Shared) {
    if let Some(Err(error)) = result {
        observed.borrow_mut().error(&error.to_string());
    }
}
