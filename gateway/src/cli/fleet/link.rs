//! An agent's WebSocket: the client library keeps it connected, this puts a word to what came of each question.
//!
//! What must stay true: an answer that did not come is told apart from a question that was not asked.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use signalbox_client::{
    Client, ClientConfig, Closed, RequestError, SendError, Subscription, Unanswered, WhenOffline,
};
use signalbox_protocol::{ErrorCode, Fault, Received, Target};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::nodes::Nodes;

/// The longest wait before the first attempt to connect again, and before any.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

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
    Refused(#[from] Closed),
    /// The question itself is wrong.
    #[error(transparent)]
    Wrong(#[from] RequestError),
}

/// An agent and its client, which is made when it is first needed.
#[derive(Debug)]
pub(super) struct Link {
    nodes: Arc<Nodes>,
    agent: (String, String),
    namespace: Option<&'static str>,
    /// Which node comes first.
    at: usize,
    client: Option<Client>,
    /// When to stop waiting for a node.
    give_up: CancellationToken,
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
        Self { nodes, agent, namespace, at, client: None, give_up }
    }

    /// The client, as soon as it is connected.
    pub(super) async fn client(&mut self) -> Result<Client, NoLink> {
        let client = self.client.get_or_insert_with(|| {
            let agent = (self.agent.0.as_str(), self.agent.1.as_str());
            let config = config(&self.nodes, self.at, agent, self.namespace);
            Client::start_over(config, self.nodes.dialer())
        });
        connected(client, &self.give_up).await?;
        Ok(client.clone())
    }

    /// A new client, and everything that comes to it from the first frame on.
    pub(super) async fn listen(&mut self) -> Result<(Client, Subscription), NoLink> {
        let agent = (self.agent.0.as_str(), self.agent.1.as_str());
        let config = config(&self.nodes, self.at, agent, self.namespace);
        let all = config.on_any();
        let client = self.client.insert(Client::start_over(config, self.nodes.dialer()));
        connected(client, &self.give_up).await?;
        Ok((client.clone(), all))
    }

    /// Connections that were lost.
    pub(super) fn lost(&self) -> u64 {
        self.client.as_ref().map_or(0, |client| client.stats().reconnects)
    }

    /// Asks the gateway, once.
    pub(super) async fn ask(&mut self, command: &str, data: &impl Serialize) -> Result<Asked, NoLink> {
        let client = self.client().await?;
        match client.request(command, data, Target::Default, self.nodes.timeout()).await {
            Ok(answer) => Ok(Asked::Answered(answer)),
            Err(RequestError::Refused(fault)) => Ok(match fault.code {
                ErrorCode::OutcomeUnknown | ErrorCode::Timeout => Asked::Unknown,
                _ => Asked::Refused(fault),
            }),
            Err(RequestError::Unknown(why)) => {
                if matches!(why, Unanswered::Timeout(_)) {
                    // Whoever does not answer for so long may never do: another node, then.
                    client.reconnect();
                }
                Ok(Asked::Unknown)
            }
            Err(
                RequestError::NotSent(_)
                | RequestError::Send(SendError::Closed(_) | SendError::QueueFull(_) | SendError::Offline),
            ) => Ok(Asked::NotSent),
            Err(wrong @ (RequestError::Send(_) | RequestError::TooMany(_) | RequestError::Unreadable(_))) => {
                Err(wrong.into())
            }
        }
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
        // Without a connection it is refused, and the next one tells more.
        client.emit(event, data, topic).await.ok();
        Ok(())
    }
}

fn config(nodes: &Nodes, at: usize, agent: (&str, &str), namespace: Option<&str>) -> ClientConfig {
    nodes
        .socket(at, agent, namespace)
        .reconnect_waits(WAITS.0, WAITS.1)
        .when_offline(WhenOffline::Refuse)
        .event_queue(65_536, 64 << 20)
}

/// Waits until `client` is connected.
async fn connected(client: &Client, give_up: &CancellationToken) -> Result<(), NoLink> {
    Ok(give_up.run_until_cancelled(client.opened()).await.ok_or(NoLink::GivenUp)??)
}
