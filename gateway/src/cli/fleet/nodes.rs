//! The nodes that a fleet talks to.

use std::time::Duration;

use signalbox_client::ClientConfig;

use crate::cli::http::Http;
use crate::cli::road::Dialer;
use crate::outbound::Server;

/// Where they are, and for whom the fleet acts.
#[derive(Debug, Clone)]
pub(super) struct Nodes {
    servers: Vec<Server>,
    tenant: String,
    timeout: Duration,
}

impl Nodes {
    /// There has to be a node, and either all speak TLS or none.
    pub(super) fn new(servers: Vec<Server>, tenant: String, timeout: Duration) -> Self {
        Self { servers, tenant, timeout }
    }

    /// A client of the HTTP API of all of them.
    pub(super) fn http(&self) -> Http {
        Http::new(self.servers.clone(), Some(&self.tenant), self.timeout)
    }

    /// The same, which begins with the node of that number; numbers go round.
    pub(super) fn http_from(&self, number: usize) -> Http {
        let mut servers = self.servers.clone();
        servers.rotate_left(number % self.servers.len());
        Http::new(servers, Some(&self.tenant), self.timeout)
    }

    /// Asks each node whether it lives, so that a mistyped address is told at once.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        for server in &self.servers {
            Http::new(vec![server.clone()], Some(&self.tenant), self.timeout)
                .get("/livez", &[])
                .await?
                .success()?;
        }
        Ok(())
    }

    /// How the agent connects, to the node of that number first; numbers go round.
    pub(super) fn socket(&self, number: usize, agent: (&str, &str), namespace: Option<&str>) -> ClientConfig {
        let namespace = namespace.map(|name| format!("/{name}")).unwrap_or_default();
        let address = |server: &Server| {
            let scheme = if server.trusted().is_some() { "wss" } else { "ws" };
            format!("{scheme}://{}/ws{namespace}", server.address().authority())
        };
        let (before, from) = self.servers.split_at(number % self.servers.len());
        let mut addresses = from.iter().chain(before).map(address);
        let config = ClientConfig::new(addresses.next().unwrap_or_default());
        addresses
            .fold(config, ClientConfig::endpoint)
            .keep_order()
            .query("tenant", &self.tenant)
            .query("agent_type", agent.0)
            .query("agent_id", agent.1)
            .connect_timeout(self.timeout)
            .request_timeout(self.timeout)
    }

    /// What opens connections to them.
    pub(super) fn dialer(&self) -> Dialer {
        Dialer::of(&self.servers[0])
    }

    /// How long an answer may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
}
