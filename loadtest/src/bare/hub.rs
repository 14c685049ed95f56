//! Who is connected to a bare server, and how each is reached.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Messages that wait for a connection's task; beyond that they are lost, and the run's oracle finds that.
pub(super) const QUEUED_MAX: usize = 1_024;

/// All connections, each with the number that it was given.
#[derive(Debug, Default)]
pub(super) struct Hub {
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    next: u64,
    outlets: Vec<(u64, Outlet)>,
}

/// How one connection is reached.
#[derive(Debug)]
pub(super) enum Outlet {
    /// Its socket once more, which does not block.
    Socket(OwnedFd),
    /// Its task's queue.
    Queue(mpsc::Sender<Message>),
}

impl Hub {
    /// Takes a connection in; answers its number.
    pub(super) fn enter(&self, outlet: Outlet) -> u64 {
        let mut members = self.members();
        members.next += 1;
        let number = members.next;
        members.outlets.push((number, outlet));
        number
    }

    pub(super) fn leave(&self, number: u64) {
        self.members().outlets.retain(|(other, _)| *other != number);
    }

    /// Hands a text to everybody but whoever sent it. What a socket or queue does not take is lost.
    pub(super) fn broadcast(&self, from: u64, text: &Utf8Bytes) {
        let mut frame = Vec::with_capacity(text.len() + 10);
        Frame::message(text.clone(), OpCode::Data(Data::Text), true)
            .format(&mut frame)
            .expect("a vector takes every byte");
        for (number, outlet) in &self.members().outlets {
            if *number == from {
                continue;
            }
            match outlet {
                Outlet::Socket(socket) => {
                    let _ = rustix::io::write(socket, &frame);
                }
                Outlet::Queue(queue) => {
                    let _ = queue.try_send(Message::Text(text.clone()));
                }
            }
        }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_hears_it_but_whoever_said_it_or_has_left() {
        let hub = Hub::default();
        let mut queues: Vec<_> = (0..4).map(|_| mpsc::channel(2)).collect();
        let numbers: Vec<u64> =
            queues.iter().map(|(queue, _)| hub.enter(Outlet::Queue(queue.clone()))).collect();
        hub.leave(numbers[3]);
        hub.broadcast(numbers[1], &Utf8Bytes::from_static("a"));
        let heard = queues.iter_mut().map(|(_, queue)| queue.try_recv().is_ok());
        assert_eq!(heard.collect::<Vec<_>>(), [true, false, true, false]);
    }
}
