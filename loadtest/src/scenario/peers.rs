//! Signalbox and others, one after the other in each run, by the same clients: what a message and a connection cost with each.
//!
//! What goes wrong with another product is told as a warning: its promises are not ours.

mod idle;
mod talk;

use std::net::Ipv4Addr;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{note_run, run_name};
use crate::cluster::Cluster;
use crate::options::{Measure, Peers};
use crate::peers::{Caller, Client, Product, Role, Topic};
use crate::processes::check_open_files;
use crate::procfs;
use crate::report::{Report, progress};

/// Handshakes under way at once.
const AT_ONCE: usize = 64;

/// Connections from one address of loopback.
const CONNECTIONS_PER_ADDRESS: usize = 4_000;

pub(crate) async fn run(options: &Peers) -> anyhow::Result<Report> {
    let mut report = Report::new("peers", procfs::machine());
    note_settings(&mut report, options);
    check_open_files(2 * options.clients as usize)?;
    for product in options.products() {
        let node_modules = options.node_modules.as_deref();
        let version = product.version(&options.servers.binary, node_modules)?;
        report.setting(product.name(), version);
    }
    for product in options.products() {
        let mut found = Report::new("peers", String::new());
        measure(*product, options, &mut found).await.with_context(|| product.name())?;
        report.absorb(product.name(), found, *product == Product::Signalbox);
    }
    progress("");
    Ok(report)
}

fn note_settings(report: &mut Report, options: &Peers) {
    report.setting("measure", format!("{:?}", options.measure).to_lowercase());
    report.setting("clients", options.clients);
    if options.measure == Measure::Idle {
        return;
    }
    note_run(report, &options.run);
    report.setting("payload_bytes", options.payload.bytes);
    if options.full_speed {
        report.setting("window", options.window);
    } else {
        report.setting("rate_per_second", options.rate.per_second());
    }
}

async fn measure(product: Product, options: &Peers, report: &mut Report) -> anyhow::Result<()> {
    let mut cluster = Cluster::of(product, &options.servers, options.node_modules.as_deref()).await?;
    let crowd =
        Crowd { product, addresses: cluster.nodes.iter().map(|node| node.address.as_str()).collect() };
    let measured = match options.measure {
        Measure::Fanout => talk::fan_out(&crowd, options, &cluster, report).await,
        Measure::Unicast => talk::unicast(&crowd, options, &cluster, report).await,
        Measure::Idle => idle::measure(&crowd, options, &cluster, report).await,
    };
    drop(crowd);
    if !cluster.stop().await {
        report.failure("a server did not end when it was asked to");
    }
    measured
}

/// Where the clients of a run connect to.
struct Crowd<'a> {
    product: Product,
    /// `host:port` of each server.
    addresses: Vec<&'a str>,
}

impl Crowd<'_> {
    /// Connects clients with a role to these topics in turn: client n to the server that `server_of` says.
    async fn connect(
        &self,
        role: Role,
        topics: Vec<Topic>,
        server_of: impl Fn(usize) -> usize,
    ) -> anyhow::Result<Vec<Caller>> {
        let connecting = stream::iter(topics.into_iter().enumerate()).map(|(number, topic)| {
            let address = self.addresses[server_of(number) % self.addresses.len()];
            let block = u8::try_from(number / CONNECTIONS_PER_ADDRESS).unwrap_or(u8::MAX - 1);
            let from = Ipv4Addr::new(127, 0, 0, 1 + block);
            Caller::connect(self.product, address, from, Client { number, role, topic })
        });
        connecting.buffered(AT_ONCE).try_collect().await
    }
}

/// So many topics of this run.
fn own_topics(count: usize) -> Vec<Topic> {
    let run = run_name();
    (0..count).map(|number| Topic::Own(format!("{run}-{number}"))).collect()
}
