//! The nodes and the Redis under test: started for the run, or running already.

mod peer;

use std::path::Path;

use anyhow::{Context, ensure};
use signalbox_client::WireConfig;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::bare::Manner;
use crate::http;
use crate::options::{Scenario, Servers};
use crate::processes::{Launcher, Process, free_port, pins};
use crate::resp::{RedisConnection, Reply};

/// Nodes and Redis. Whatever was started for it ends with [`Cluster::stop`], or when it is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    /// `host:port`, if it is known.
    pub(crate) redis: Option<String>,
    redis_process: Option<Process>,
    /// Whether its servers are nodes, which tell metrics.
    pub(crate) of_nodes: bool,
    /// Holds the logs of what was started.
    logs: TempDir,
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    /// `ws://host:port/ws`
    pub(crate) url: String,
    /// `host:port`
    pub(crate) address: String,
    process: Option<Process>,
}

impl Cluster {
    /// Whom all that a run does is done for.
    pub(crate) const TENANT: &str = "load";

    /// Finds what is running already.
    pub(crate) fn new(scenario: &Scenario) -> anyhow::Result<Self> {
        let servers = scenario.servers();
        let nodes = servers.urls.iter().map(|url| Node::at(url)).collect::<anyhow::Result<_>>()?;
        let logs = TempDir::new().context("no temporary folder")?;
        Ok(Self { nodes, redis: servers.redis.clone(), redis_process: None, of_nodes: true, logs })
    }

    /// A bare server in place of nodes, without Redis.
    pub(crate) async fn bare(servers: &Servers, manner: Manner) -> anyhow::Result<Self> {
        let logs = TempDir::new().context("no temporary folder")?;
        let mut cluster = Self { nodes: Vec::new(), redis: None, redis_process: None, of_nodes: false, logs };
        let address = format!("127.0.0.1:{}", free_port()?);
        let args = ["bare-server", manner.name(), "--listen", &address].map(str::to_owned);
        let program = std::env::current_exe().context("this program is nowhere")?;
        let mut process = cluster.launcher(servers).start("bare", &program, &args)?;
        process.wait_until(async || TcpStream::connect(&address).await.is_ok()).await?;
        cluster.nodes.push(Node { url: format!("ws://{address}/ws"), address, process: Some(process) });
        Ok(cluster)
    }

    /// Starts what the scenario needs besides.
    ///
    /// # Cancel safety
    /// What was started so far belongs to the cluster: stop it.
    pub(crate) async fn open(&mut self, scenario: &Scenario) -> anyhow::Result<()> {
        let servers = scenario.servers();
        if matches!(scenario, Scenario::Chaos(_) | Scenario::Peers(_)) {
            // They start what they are going to break, or to compare, themselves.
            return Ok(());
        }
        let needs_nodes = !matches!(scenario, Scenario::Redis(_));
        if self.redis.is_none() && (self.nodes.is_empty() || !needs_nodes) {
            self.start_redis(servers).await?;
        }
        if self.nodes.is_empty() && needs_nodes {
            for _ in 0..servers.nodes.unwrap_or(usual_nodes(scenario)).max(1) {
                self.start_node(servers, usual_settings(scenario)).await?;
            }
        }
        Ok(())
    }

    /// Ends what was started: nodes first, so that they leave in order. Whether all ended when they were asked to.
    pub(crate) async fn stop(&mut self) -> bool {
        let nodes = self.nodes.iter_mut().filter_map(|node| node.process.take());
        let mut ended = futures_util::future::join_all(nodes.map(Process::stop)).await;
        if let Some(redis) = self.redis_process.take() {
            ended.push(redis.stop().await);
        }
        ended.into_iter().all(|ended| ended)
    }

    /// The processes that can be measured: name and id.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (&str, u32)> {
        let nodes = self.nodes.iter().filter_map(|node| node.process.as_ref());
        nodes.chain(&self.redis_process).map(|process| (process.name.as_str(), process.pid()))
    }

    /// The nodes' processes that can be measured.
    pub(crate) fn node_pids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| node.process.as_ref()).map(Process::pid).collect()
    }

    /// How to connect to the node of this number, counted round and round, as this agent.
    pub(crate) fn connect_as(&self, node: usize, agent_type: &str, agent_id: &str) -> WireConfig {
        connect_as(&self.nodes[node % self.nodes.len()].url, agent_type, agent_id)
    }

    /// `ws://host:port/ws` of each node.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.url.clone()).collect()
    }

    async fn start_redis(&mut self, servers: &Servers) -> anyhow::Result<()> {
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let args = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"];
        let mut args: Vec<String> = args.map(str::to_owned).into();
        args.push(port.to_string());
        let redis = self.launcher(servers).start("redis", Path::new("redis-server"), &args)?;
        self.redis_process.insert(redis).wait_until(async || answers_ping(&address).await).await?;
        self.redis = Some(address);
        Ok(())
    }

    async fn start_node(&mut self, servers: &Servers, settings: &[&str]) -> anyhow::Result<()> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let redis = self.redis.as_ref().context("a node needs Redis")?;
        let mut args = vec!["serve".to_owned(), "--listen".to_owned(), address.clone()];
        args.extend(["--redis".to_owned(), format!("redis://{redis}/0")]);
        args.extend(settings.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]));
        args.extend(servers.server_args.iter().cloned());
        let name = format!("node_{}", self.nodes.len() + 1);
        let process = self.launcher(servers).start(&name, &servers.binary, &args)?;
        let url = format!("ws://{address}/ws");
        self.nodes.push(Node { url, address: address.clone(), process: Some(process) });
        let process = self.nodes.last_mut().and_then(|node| node.process.as_mut());
        process.context("it was just put there")?.wait_until(async || is_ready(&address).await).await
    }

    fn launcher(&self, servers: &Servers) -> Launcher<'_> {
        Launcher { cpu: pins(servers).then_some(servers.server_cpu), logs: self.logs.path() }
    }
}

/// How to connect to the node at `url` as this agent.
pub(crate) fn connect_as(url: &str, agent_type: &str, agent_id: &str) -> WireConfig {
    WireConfig::new(url)
        .query("tenant", Cluster::TENANT)
        .query("agent_type", agent_type)
        .query("agent_id", agent_id)
}

impl Node {
    fn at(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("ws://").with_context(|| format!("{url} does not start with ws://"))?;
        let address = rest.split(['/', '?']).next().unwrap_or_default();
        ensure!(!address.is_empty(), "{url} names no host");
        let address = if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
        Ok(Self { url: url.to_owned(), address, process: None })
    }
}

/// A third one stands by while others are attacked.
fn usual_nodes(scenario: &Scenario) -> usize {
    if matches!(scenario, Scenario::Hostile(_)) { 3 } else { 2 }
}

/// Deadlines that a run of seconds meets.
fn usual_settings(scenario: &Scenario) -> &'static [&'static str] {
    if matches!(scenario, Scenario::Hostile(_)) {
        &["handshake.timeout=1s", "heartbeat.interval=1s", "heartbeat.timeout=2s"]
    } else {
        &[]
    }
}

async fn answers_ping(address: &str) -> bool {
    let Ok(mut redis) = RedisConnection::connect(address).await else { return false };
    redis.ask(&[b"PING"]).await.is_ok_and(|reply| reply == Reply::Simple("PONG".to_owned()))
}

async fn is_ready(address: &str) -> bool {
    http::get(address, "/readyz").await.is_ok_and(|(status, _)| status == 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_tells_where_a_node_answers_http() {
        for (url, address) in [
            ("ws://127.0.0.1:8080/ws", "127.0.0.1:8080"),
            ("ws://node", "node:80"),
            ("ws://node:1?tenant=x", "node:1"),
        ] {
            assert_eq!(Node::at(url).unwrap().address, address);
        }
        assert!(Node::at("http://x").is_err());
        assert!(Node::at("ws:///ws").is_err());
    }
}
