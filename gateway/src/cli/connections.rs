//! `signalbox connections`: who is connected, on any node.

use clap::Args;
use serde_json::json;

use super::api::{ApiArgs, Page};
use super::table::table;
use super::{Failure, say};

const COLUMNS: [&str; 7] =
    ["ws_id", "agent", "session_id", "pillar", "node_id", "namespaces", "connected_at"];

#[derive(Debug, Args)]
pub(super) struct ConnectionsArgs {
    /// Only those of this session
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Only those of this agent, e.g. vehicle:V17
    #[arg(long, value_name = "TYPE:ID")]
    agent: Option<String>,
    /// Only those of agents of this type
    #[arg(long, value_name = "TYPE")]
    agent_type: Option<String>,
    /// Only those of this pillar
    #[arg(long, value_name = "PILLAR")]
    pillar: Option<String>,
    /// Stop after this many
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    api: ApiArgs,
}

pub(super) fn run(args: &ConnectionsArgs) -> Result<(), Failure> {
    let filters = [
        ("session", &args.session),
        ("agent", &args.agent),
        ("agent_type", &args.agent_type),
        ("pillar", &args.pillar),
    ];
    let filters: Vec<_> =
        filters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let Page { items, cursor, .. } = args.api.pages("/api/connections", &filters, args.limit)?;
    if args.api.json {
        say(&json!({ "items": items, "cursor": cursor }).to_string())?;
        return Ok(());
    }
    if items.is_empty() {
        say("no connection")?;
    } else {
        say(&table(&items, &COLUMNS))?;
    }
    if cursor.is_some() {
        say(&format!("... and more than these {}: raise --limit", items.len()))?;
    }
    Ok(())
}
