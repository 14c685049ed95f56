//! An agent's WebSocket that outlives its node: when one goes away it goes to the next.
//!
//! What must stay true: an answer that did not come is told apart from a question that was not asked.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;
use signalbox_client::{
    Client, ClientState, ConnectError, RequestError, SendError, Subscription, Unanswered,
};
use signalbox_protocol::close::Advice;
use signalbox_protocol::{ErrorCode, Fault, Received, Target};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::nodes::Nodes;

/// Before the second attempt to connect; it doubles up to the second figure, and is jittered.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What came of a question.
#[derive(Debug)]
pub(super) enum Asked {
    /// The gateway's answer.
    Answered(Received),
    /// It refused.
    Refused(Fault),
    /// The answer was lost. It may have been done.
    Unknown,
    /// It was not asked.
    NotSent,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(super) enum NoLink {
    /// The run is over and nobody is there.
    #[error("no node could be reached before the end")]
    GivenUp,
    /// No node will have this client, however often it comes.
    #[error(transparent)]
    Refused(#[from] ConnectError),
    /// The question itself is wrong.
    #[error(transparent)]
    Wrong(#[from] RequestError),
}

/// An agent and its connection.
#[derive(Debug)]
pub(super) struct Link {
    nodes: Arc<Nodes>,
    agent: (String, String),
    namespace: Option<&'static str>,
    /// Which node comes next.
    at: usize,
    client: Option<Client>,
    rng: Rng,
    /// When to stop trying.
    give_up: CancellationToken,
    /// Connections that were lost.
    pub(super) lost: u64,
}

impl Link {
    /// Not connected yet; it will begin with the node number `at`.
    pub(super) fn new(
        nodes: Arc<Nodes>,
        agent: (&str, &str),
        namespace: Option<&'static str>,
        at: usize,
        give_up: CancellationToken,
    ) -> Self {
        let agent = (agent.0.to_owned(), agent.1.to_owned());
        Self { nodes, agent, namespace, at, client: None, rng: Rng::new(), give_up, lost: 0 }
    }

    /// The connection; if there is none, a new one, as soon as a node gives one.
    pub(super) async fn client(&mut self) -> Result<Client, NoLink> {
        if let Some(client) = self.client.take() {
            if client.stats().state == ClientState::Open {
                self.client = Some(client.clone());
                return Ok(client);
            }
            self.lost += 1;
            self.at += 1;
        }
        let (client, _) = self.connect(false).await?;
        self.client = Some(client.clone());
        Ok(client)
    }

    /// A new connection, and everything that comes on it.
    pub(super) async fn listen(&mut self) -> Result<(Client, Subscription), NoLink> {
        if self.client.take().is_some() {
            self.lost += 1;
            self.at += 1;
        }
        let (client, all) = self.connect(true).await?;
        self.client = Some(client.clone());
        Ok((client, all.expect("it was asked for")))
    }

    async fn connect(&mut self, listening: bool) -> Result<(Client, Option<Subscription>), NoLink> {
        let mut pause = PAUSE.0;
        loop {
            let agent = (self.agent.0.as_str(), self.agent.1.as_str());
            let config = self.nodes.socket(self.at, agent, self.namespace).event_queue(65_536, 64 << 20);
            let config = config.without_reconnect();
            let all = listening.then(|| config.on_any());
            let connected = self.give_up.run_until_cancelled(Client::connect(config)).await;
            match connected.ok_or(NoLink::GivenUp)? {
                Ok(client) => return Ok((client, all)),
                Err(error) if is_final(&error) => return Err(error.into()),
                Err(_) => self.at += 1,
            }
            let jittered = pause.mul_f64(0.5 + self.rng.f64());
            let slept = self.give_up.run_until_cancelled(tokio::time::sleep(jittered)).await;
            slept.ok_or(NoLink::GivenUp)?;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Asks the gateway, once.
    pub(super) async fn ask(&mut self, command: &str, data: &impl Serialize) -> Result<Asked, NoLink> {
        let client = self.client().await?;
        let asked = client.request(command, data, Target::Default, self.nodes.timeout()).await;
        self.after(asked)
    }

    /// Sends an event and waits until it is on its way.
    pub(super) async fn tell(
        &mut self,
        event: &str,
        data: &impl Serialize,
        topic: &str,
    ) -> Result<bool, NoLink> {
        let client = self.client().await?;
        Ok(client.emit_acked(event, data, topic).await.is_ok())
    }

    /// Sends an event of which the next one is as good.
    pub(super) async fn mention(
        &mut self,
        event: &str,
        data: &impl Serialize,
        topic: &str,
    ) -> Result<(), NoLink> {
        let client = self.client().await?;
        // A connection that is lost is found so by the next call.
        client.emit(event, data, topic).await.ok();
        Ok(())
    }

    fn after(&mut self, asked: Result<Received, RequestError>) -> Result<Asked, NoLink> {
        match asked {
            Ok(answer) => Ok(Asked::Answered(answer)),
            Err(RequestError::Refused(fault)) => Ok(match fault.code {
                ErrorCode::OutcomeUnknown | ErrorCode::Timeout => Asked::Unknown,
                _ => Asked::Refused(fault),
            }),
            Err(RequestError::Unknown(Unanswered::Timeout(_))) => {
                // Whoever does not answer for so long may never do: another node, then.
                self.client = None;
                self.lost += 1;
                self.at += 1;
                Ok(Asked::Unknown)
            }
            Err(RequestError::Unknown(_)) => Ok(Asked::Unknown),
            Err(
                RequestError::NotSent(_)
                | RequestError::Send(SendError::Closed(_) | SendError::QueueFull(_) | SendError::Offline),
            ) => Ok(Asked::NotSent),
            Err(wrong @ (RequestError::Send(_) | RequestError::TooMany(_) | RequestError::Unreadable(_))) => {
                Err(wrong.into())
            }
        }
    }
}

/// Whether the same again would end the same way.
fn is_final(error: &ConnectError) -> bool {
    error.advice() != Advice::Reconnect
}
