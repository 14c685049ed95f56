//! The Redis and the nodes that suffer: processes of this run, each on a port that it keeps when it is started again.

use std::time::Duration;

use anyhow::Context;
use signalbox_testkit::{Balancer, Forwarder, Nginx, RedisServer};
use tempfile::TempDir;

use crate::holdings::Holdings;
use crate::http;
use crate::options::{Chaos, Fault, InFront, Servers};
use crate::processes::{Launcher, Process, free_port, pins};

/// Where the faults happen. Everything ends with it.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    servers: &'a Servers,
    pub(crate) redis: RedisServer,
    /// What takes over from it, if the fault is that.
    pub(crate) replica: Option<Replica>,
    /// Between nodes and Redis, if the fault is there.
    pub(crate) redis_path: Option<Forwarder>,
    pub(crate) nodes: Vec<Node>,
    /// In front of the nodes, if clients are to know only it.
    front: Option<Front>,
    settings: Vec<String>,
    logs: TempDir,
}

/// A load balancer.
#[derive(Debug)]
enum Front {
    Tcp(Balancer),
    Nginx(Nginx),
}

/// A Redis that follows the first, over a path that can be cut.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) server: RedisServer,
    pub(crate) path: Forwarder,
}

/// One node, whichever process it is now.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
    port: u16,
    /// `host:port`
    pub(crate) address: String,
    /// Between some of the clients and it, if the fault is there.
    pub(crate) path: Option<Forwarder>,
    process: Option<Process>,
}

impl<'a> Stage<'a> {
    /// Starts everything, and waits until all nodes are ready.
    pub(crate) async fn open(options: &'a Chaos) -> anyhow::Result<Self> {
        let (servers, fault) = (&options.servers, options.fault);
        let redis =
            if fault.needs_files() { RedisServer::start_durable().await } else { RedisServer::start().await };
        let redis_path =
            if fault.needs_redis_path() { Some(Forwarder::start(redis.port()).await) } else { None };
        let replica = if fault == Fault::RedisFailover { Some(Replica::of(&redis).await) } else { None };
        let logs = TempDir::new().context("no temporary folder")?;
        let settings = fault.settings();
        let (nodes, front) = (Vec::new(), None);
        let mut stage = Self { servers, redis, replica, redis_path, nodes, front, settings, logs };
        for number in 1..=servers.nodes.unwrap_or(3).max(1) {
            stage.add_node(number, fault).await?;
        }
        let ports: Vec<u16> = stage.nodes.iter().map(|node| node.port).collect();
        stage.front = match options.balancer {
            None => None,
            Some(InFront::Tcp) => Some(Front::Tcp(Balancer::start(ports).await)),
            Some(InFront::Nginx) => Some(Front::Nginx(Nginx::start(&ports).await)),
        };
        Ok(stage)
    }

    async fn add_node(&mut self, number: usize, fault: Fault) -> anyhow::Result<()> {
        let port = free_port()?;
        let path = if fault.needs_client_path() { Some(Forwarder::start(port).await) } else { None };
        let (name, address) = (format!("node_{number}"), format!("127.0.0.1:{port}"));
        self.nodes.push(Node { name, port, address, path, process: None });
        self.start(number - 1).await
    }

    /// Starts the process of a node that has none, and waits until it is ready.
    pub(crate) async fn start(&mut self, node: usize) -> anyhow::Result<()> {
        let redis = self.redis_path.as_ref().map_or(self.redis.port(), Forwarder::port);
        let address = self.nodes[node].address.clone();
        let mut args = ["serve", "--listen", &address, "--redis"].map(str::to_owned).to_vec();
        args.push(format!("redis://127.0.0.1:{redis}/0"));
        args.extend(self.settings.iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]));
        args.extend(self.servers.server_args.iter().cloned());
        let cpu = pins(self.servers).then_some(self.servers.server_cpu);
        let launcher = Launcher { cpu, logs: self.logs.path() };
        let node = &mut self.nodes[node];
        let process = launcher.start(&node.name, &self.servers.binary, &args)?;
        let is_ready = async || http::get(&address, "/readyz").await.is_ok_and(|(status, _)| status == 200);
        node.process.insert(process).wait_until(is_ready).await
    }

    /// Where clients connect to; those `aside`, through the paths that fail.
    pub(crate) fn urls(&self, aside: bool) -> Vec<String> {
        match &self.front {
            Some(front) if !aside => vec![format!("ws://127.0.0.1:{}/ws", front.port())],
            Some(_) | None => self.nodes.iter().map(|node| node.url(aside)).collect(),
        }
    }

    /// Ends the nodes, in order; the names of those that had to be killed.
    pub(crate) async fn close(&mut self) -> Vec<String> {
        let stopping = self.nodes.iter_mut().filter_map(|node| Some((&node.name, node.process.take()?)));
        let stopping =
            stopping.map(|(name, process)| async { (!process.stop().await).then(|| name.clone()) });
        futures_util::future::join_all(stopping).await.into_iter().flatten().collect()
    }

    /// What the nodes hold now.
    pub(crate) async fn holdings(&self) -> anyhow::Result<Holdings> {
        Holdings::of(self.nodes.iter().map(|node| node.address.as_str()), self.pids()).await
    }

    /// The sum of a metric over the nodes that answer; `None` if none does.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let mut sum = None;
        for node in &self.nodes {
            let Ok((_, text)) = http::get(&node.address, "/metrics").await else { continue };
            sum = http::metric(&text, name).map(|value| sum.unwrap_or(0.0) + value).or(sum);
        }
        sum
    }

    /// Whether another node lists this one as alive.
    pub(crate) async fn is_listed(&self, node: usize) -> bool {
        let asked = &self.nodes[(node + 1) % self.nodes.len()].address;
        let list = http::get(asked, "/api/nodes").await;
        // Each node tells where it listens.
        list.is_ok_and(|(_, list)| list.contains(&format!("{:?}", self.nodes[node].address)))
    }

    /// The nodes' processes.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.nodes.iter().filter_map(|node| node.process.as_ref()).map(Process::pid)
    }
}

impl Front {
    fn port(&self) -> u16 {
        match self {
            Self::Tcp(balancer) => balancer.port(),
            Self::Nginx(nginx) => nginx.port(),
        }
    }
}

impl Node {
    /// Where a client connects to; one `aside`, through the path that fails.
    pub(crate) fn url(&self, aside: bool) -> String {
        match self.path.as_ref().filter(|_| aside) {
            Some(path) => format!("ws://127.0.0.1:{}/ws", path.port()),
            None => format!("ws://{}/ws", self.address),
        }
    }

    /// Its process, which must not be started otherwise until it is given back or has ended.
    pub(crate) fn take(&mut self) -> anyhow::Result<Process> {
        self.process.take().with_context(|| format!("{} does not run", self.name))
    }

    /// Its process of now.
    pub(crate) fn process_mut(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().with_context(|| format!("{} does not run", self.name))
    }
}

impl Replica {
    /// How long it may take to have everything.
    const SYNCS_WITHIN: Duration = Duration::from_secs(20);

    async fn of(redis: &RedisServer) -> Self {
        let (server, path) = (RedisServer::start().await, Forwarder::start(redis.port()).await);
        server.follow(path.port(), Self::SYNCS_WITHIN).await;
        Self { server, path }
    }
}
