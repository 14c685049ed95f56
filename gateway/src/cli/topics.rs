//! `signalbox topics`: which group topics are followed.

use clap::Args;
use serde_json::json;

use super::api::{ApiArgs, Page};
use super::table::table;
use super::{Failure, say};

#[derive(Debug, Args)]
pub(super) struct TopicsArgs {
    #[command(flatten)]
    api: ApiArgs,
}

pub(super) fn run(args: &TopicsArgs) -> Result<(), Failure> {
    let Page { items, cursor, rest } = args.api.get("/api/topics", &[])?;
    if args.api.json {
        let mut answer = rest;
        answer.insert("items".to_owned(), json!(items));
        answer.insert("cursor".to_owned(), json!(cursor));
        say(&json!(answer).to_string())?;
    } else if items.is_empty() {
        say("no topic is followed")?;
    } else {
        say(&table(&items, &["topic"]))?;
    }
    Ok(())
}
