//! Many clients that are there and say nothing: each answers pings, and what is sent to it is judged.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use signalbox_client::Wire;
use signalbox_client::protocol::{Target, Topic};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::listener::{Listener, ReadBuffer};
use crate::observed::Shared;
use crate::workers::Share;

/// Who they are.
pub(crate) const AGENT_TYPE: &str = "passenger";

/// More than one message may have.
const TOO_LONG_BYTES: usize = 2 * 1024 * 1024;

/// A node has this long to end a connection that says so much.
const LOST_WITHIN: Duration = Duration::from_secs(20);

/// The clients of a [`Share`], a task each.
#[derive(Debug)]
pub(crate) struct Crowd {
    share: Share,
    tasks: JoinSet<bool>,
    stop: CancellationToken,
    hearing: Rc<Hearing>,
    read_buffer: ReadBuffer,
}

/// What they hear.
#[derive(Debug, Default)]
struct Hearing {
    /// Who judges it, once there is something to hear.
    observed: RefCell<Option<Shared>>,
    /// What came before.
    unasked: RefCell<Option<String>>,
}

impl Hearing {
    fn heard(&self, client: usize, text: &[u8], at: Instant) {
        match &*self.observed.borrow() {
            Some(observed) => {
                observed.borrow_mut().heard(client, text, at);
            }
            None => {
                let text = String::from_utf8_lossy(text);
                self.unasked.borrow_mut().get_or_insert_with(|| text.chars().take(300).collect());
            }
        }
    }
}

impl Crowd {
    /// Nobody of them is there yet.
    fn of(share: Share) -> Self {
        let (tasks, stop, hearing) = (JoinSet::new(), CancellationToken::new(), Rc::default());
        Self { share, tasks, stop, hearing, read_buffer: ReadBuffer::default() }
    }

    /// Connects them, each to the next node; tells how long each took. Those who are in answer pings at once.
    ///
    /// # Errors
    /// When one can't connect.
    pub(crate) async fn connect(share: Share, mut took: impl AsyncFnMut(Duration)) -> anyhow::Result<Self> {
        let mut crowd = Self::of(share.clone());
        let connecting = stream::iter(0..share.count).map(async |client| {
            let config = share.config(client, share.first + client, AGENT_TYPE, &share.name(client));
            let start = Instant::now();
            let (mut wire, _) = Wire::connect(&config).await.with_context(|| config.url.clone())?;
            let elapsed = start.elapsed();
            if share.loses_one && client == 0 {
                lose(&mut wire).await?;
            }
            anyhow::Ok((client, wire, elapsed))
        });
        let mut connecting = connecting.buffer_unordered(share.at_once.max(1));
        while let Some((client, wire, elapsed)) = connecting.try_next().await? {
            crowd.keep(client, wire);
            took(elapsed).await;
        }
        drop(connecting);
        Ok(crowd)
    }

    fn keep(&mut self, client: usize, wire: Wire) {
        let (stop, hearing) = (self.stop.clone(), Rc::clone(&self.hearing));
        let mut listener = Listener::new(wire, &self.read_buffer);
        self.tasks.spawn_local(async move {
            let listening = listener.listen(|text, at| hearing.heard(client, text, at));
            let ended = stop.run_until_cancelled(listening).await;
            listener.close().await;
            ended.is_some()
        });
    }

    pub(crate) fn share(&self) -> &Share {
        &self.share
    }

    /// From now on `observed` judges what they hear.
    pub(crate) fn judged_by(&self, observed: &Shared) {
        *self.hearing.observed.borrow_mut() = Some(Rc::clone(observed));
    }

    /// Those who are reached through this node, since they are on the one before, and how.
    pub(crate) fn beyond(&self, node: usize) -> Vec<(usize, Target)> {
        let nodes = self.share.urls.len();
        let clients =
            (0..self.share.count).filter(|client| (self.share.first + client + 1) % nodes == node % nodes);
        let target = |client| {
            let topic = Topic::of(AGENT_TYPE, &self.share.name(client)).expect("the run's name is an id");
            (client, Target::from(topic))
        };
        clients.map(target).collect()
    }

    /// Closes them all; answers how many had ended by themselves.
    ///
    /// # Errors
    /// When one heard something that nobody was to say.
    pub(crate) async fn leave(mut self) -> anyhow::Result<usize> {
        self.stop.cancel();
        let mut lost = 0;
        while let Some(ended) = self.tasks.join_next().await {
            lost += usize::from(ended.unwrap_or(true));
        }
        match self.hearing.unasked.take() {
            Some(text) => bail!("a client was told what nobody had said: {text}"),
            None => Ok(lost),
        }
    }
}

/// Says more than a node takes, and waits until the node has ended the connection.
async fn lose(wire: &mut Wire) -> anyhow::Result<()> {
    wire.queue("x".repeat(TOO_LONG_BYTES))?;
    let losing = async { while wire.next().await.is_ok() {} };
    timeout(LOST_WITHIN, losing).await.context("a node takes any message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_is_reached_through_the_node_after_their_own() {
        for (first, count, nodes) in [(0, 10, 3), (7, 5, 2), (3, 1, 6), (2, 4, 1)] {
            let urls = (0..nodes).map(|node| format!("ws://127.0.0.1:{node}/ws")).collect();
            let share =
                Share { process: 0, urls, run: "x".to_owned(), first, count, at_once: 1, loses_one: false };
            let crowd = Crowd::of(share);
            let mut reached = Vec::new();
            for node in 0..nodes {
                let beyond = crowd.beyond(node);
                let own_node = |client: &usize| (first + client) % nodes;
                assert!(beyond.iter().all(|(client, _)| (own_node(client) + 1) % nodes == node));
                reached.extend(beyond.into_iter().map(|(client, _)| client));
            }
            reached.sort_unstable();
            assert_eq!(reached, (0..count).collect::<Vec<_>>());
        }
    }
}
