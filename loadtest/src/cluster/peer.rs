//! Another product's servers in place of nodes: on the same core, measured in the same way.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Context;
use tempfile::TempDir;

use super::{Cluster, Node};
use crate::options::Servers;
use crate::peers::{Caller, Client, Product, Role, SERVERS, Setup, Topic};
use crate::processes::free_port;

impl Cluster {
    /// Two servers of a product, and a Redis where it needs one. They take clients; whether they know each other yet is
    /// for whoever speaks to them to find out.
    ///
    /// # Errors
    /// When one does not start.
    pub(crate) async fn of(
        product: Product,
        servers: &Servers,
        node_modules: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let logs = TempDir::new().context("no temporary folder")?;
        let of_nodes = product == Product::Signalbox;
        let mut cluster = Self { nodes: Vec::new(), redis: None, redis_process: None, of_nodes, logs };
        if product.needs_redis() {
            cluster.start_redis(servers).await?;
        }
        if of_nodes {
            for _ in 0..SERVERS {
                cluster.start_node(servers, &[]).await?;
            }
        } else {
            cluster.start_servers(product, servers, node_modules).await?;
        }
        Ok(cluster)
    }

    async fn start_servers(
        &mut self,
        product: Product,
        servers: &Servers,
        node_modules: Option<&Path>,
    ) -> anyhow::Result<()> {
        let mut ports = [0; 3 * SERVERS];
        for port in &mut ports {
            *port = free_port()?;
        }
        let [first, second, spare_ports @ ..] = ports;
        let addresses = [first, second].map(|port| format!("127.0.0.1:{port}"));
        for (number, address) in addresses.iter().enumerate() {
            let setup = Setup {
                folder: self.logs.path(),
                addresses: addresses.clone(),
                spare_ports,
                redis: self.redis.as_deref(),
                node_modules,
            };
            let program = product.server(&setup, number)?;
            let name = format!("server_{}", number + 1);
            let mut process = self.launcher(servers).start(&name, &program.path, &program.args)?;
            process.wait_until(async || takes_clients(product, address).await).await?;
            let url = format!("ws://{address}/");
            self.nodes.push(Node { url, address: address.clone(), process: Some(process) });
        }
        Ok(())
    }
}

async fn takes_clients(product: Product, address: &str) -> bool {
    let client = Client { number: 0, role: Role::Publish, topic: Topic::Own("first".to_owned()) };
    Caller::connect(product, address, Ipv4Addr::LOCALHOST, client).await.is_ok()
}
