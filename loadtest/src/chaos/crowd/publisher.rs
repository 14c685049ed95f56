//! One publisher: numbers its messages, and tells what became of each.

use std::rc::Rc;

use signalbox_client::{Client, RequestError};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Data, Scene, TYPE, Tally, Traffic};
use crate::chaos::oracle::Fate;

/// One publisher. It sends the next message when the one before is answered and its time has come; behind schedule
/// it catches up.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) number: usize,
    pub(super) client: Client,
    pub(super) topic: String,
    pub(super) traffic: Traffic,
    pub(super) scene: Rc<Scene>,
}

impl Publisher {
    /// Sends until it shall be quiet.
    pub(super) async fn run(self, first: Instant, hush: CancellationToken) -> Tally {
        let sending = async {
            for sent in 0.. {
                let due = first + self.traffic.schedule.due(sent);
                if hush.run_until_cancelled(sleep_until(due)).await.is_none() || hush.is_cancelled() {
                    break;
                }
                self.send().await;
            }
        };
        tokio::select! {
            () = sending => {}
            () = self.scene.watch(self.client.watch()) => {}
        }
        self.client.close().await;
        Tally::of(&self.client.stats(), false)
    }

    async fn send(&self) {
        let number = self.scene.oracle.borrow_mut().sends(self.number);
        let limit = self.traffic.acknowledged_within;
        let sent = self.client.emit_acked_within(limit, TYPE, Data { number }, self.topic.as_str()).await;
        let fate = match sent {
            Ok(_) => Fate::Acknowledged,
            Err(RequestError::Unknown(_) | RequestError::Unreadable(_)) => Fate::Unknown,
            Err(_) => Fate::Refused,
        };
        self.scene.oracle.borrow_mut().answered(self.number, number, fate);
    }
}
