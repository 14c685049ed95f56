//! What is measured of several products, one after the other.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Payload, Planted, Run, Servers, schedule};
use crate::pace::Schedule;
use crate::peers::Product;

#[derive(Debug, Args)]
pub(crate) struct Peers {
    /// What to measure of each
    #[arg(long, value_enum)]
    pub(crate) measure: Measure,
    /// Which product; repeat it for several [default: all]
    #[arg(long = "product", value_enum)]
    pub(crate) products: Vec<Product>,
    /// Subscribers, pairs, or connections
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) clients: u32,
    /// Messages per second of all who publish together
    #[arg(long, default_value = "50", value_parser = schedule)]
    pub(crate) rate: Schedule,
    /// Publish as fast as messages arrive instead, in a closed loop
    #[arg(long)]
    pub(crate) full_speed: bool,
    /// With --full-speed: messages of each who publishes that may be under way
    #[arg(long, default_value_t = 16)]
    pub(crate) window: u32,
    /// The folder that the packages of Node.js were installed into
    #[arg(long)]
    pub(crate) node_modules: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) payload: Payload,
    #[command(flatten)]
    pub(crate) planted: Planted,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) run: Run,
}

/// What can be measured of every product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// One topic with many subscribers on both servers
    Fanout,
    /// Pairs of clients, from the first server to the second
    Unicast,
    /// Connections that follow a topic of their own, and hear nothing
    Idle,
}

impl Peers {
    /// In the order in which they are measured.
    pub(crate) fn products(&self) -> &[Product] {
        if self.products.is_empty() { Product::value_variants() } else { &self.products }
    }
}
