//! `signalbox locks`: what is held, by whom, and how many wait for it.

use clap::Args;
use serde_json::json;

use super::api::{ApiArgs, Page};
use super::table::table;
use super::{Failure, say};

const COLUMNS: [&str; 5] = ["resource", "owner", "fence", "ttl_ms", "waiters"];

#[derive(Debug, Args)]
pub(super) struct LocksArgs {
    /// Stop after this many
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    api: ApiArgs,
}

pub(super) fn run(args: &LocksArgs) -> Result<(), Failure> {
    let Page { mut items, cursor, .. } = args.api.pages("/api/locks", &[], args.limit)?;
    items.sort_by_key(|item| item.get("resource").map(ToString::to_string));
    if args.api.json {
        say(&json!({ "items": items, "cursor": cursor }).to_string())?;
        return Ok(());
    }
    if items.is_empty() {
        say("no lock is held")?;
    } else {
        // Whatever is listed is held.
        items.iter_mut().for_each(|item| drop(item.remove("held")));
        say(&table(&items, &COLUMNS))?;
    }
    if cursor.is_some() {
        say(&format!("... and more than these {}: raise --limit", items.len()))?;
    }
    Ok(())
}
