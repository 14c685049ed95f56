//! The nodes that a fleet talks to.

use std::time::Duration;

use hyper::Uri;
use signalbox_client::ClientConfig;

use crate::cli::http::Http;

/// Where they are, and for whom the fleet acts.
#[derive(Debug, Clone)]
pub(super) struct Nodes {
    urls: Vec<Uri>,
    tenant: String,
    timeout: Duration,
}

impl Nodes {
    /// There has to be a node.
    pub(super) fn new(urls: Vec<Uri>, tenant: String, timeout: Duration) -> Self {
        Self { urls, tenant, timeout }
    }

    /// A client of the HTTP API of all of them.
    pub(super) fn http(&self) -> Http {
        Http::new(self.urls.clone(), Some(&self.tenant), self.timeout)
    }

    /// The same, which begins with the node of that number; numbers go round.
    pub(super) fn http_from(&self, number: usize) -> Http {
        let mut urls = self.urls.clone();
        urls.rotate_left(number % self.urls.len());
        Http::new(urls, Some(&self.tenant), self.timeout)
    }

    /// Asks each node whether it lives, so that a mistyped address is told at once.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        for url in &self.urls {
            Http::new(vec![url.clone()], Some(&self.tenant), self.timeout)
                .get("/livez", &[])
                .await?
                .success()?;
        }
        Ok(())
    }

    /// How the agent connects, to the node of that number first; numbers go round.
    pub(super) fn socket(&self, number: usize, agent: (&str, &str), namespace: Option<&str>) -> ClientConfig {
        let namespace = namespace.map(|name| format!("/{name}")).unwrap_or_default();
        let address = |url: &Uri| {
            let authority = url.authority().map(ToString::to_string).unwrap_or_default();
            format!("ws://{authority}/ws{namespace}")
        };
        let (before, from) = self.urls.split_at(number % self.urls.len());
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

    /// How long an answer may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
}
