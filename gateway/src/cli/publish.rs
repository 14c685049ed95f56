//! `signalbox publish TYPE [JSON]`: one message through the HTTP API.

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::api::ApiArgs;
use super::line::{Outgoing, Target, empty_object, target};
use super::{Failure, say};

#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// What happened, e.g. vehicle:status_change
    #[arg(value_name = "TYPE")]
    message_type: String,
    /// Its data
    #[arg(value_name = "JSON", value_parser = json)]
    data: Option<Box<RawValue>>,
    /// Where it goes: a topic such as route:12, or several with commas between
    #[arg(long, value_name = "TOPIC", value_parser = target)]
    target: Option<Target>,
    #[command(flatten)]
    api: ApiArgs,
}

#[derive(Debug, Deserialize, Serialize)]
struct Published {
    accepted: u64,
    #[serde(default)]
    positions: serde_json::Map<String, Value>,
}

pub(super) fn run(args: &PublishArgs) -> Result<(), Failure> {
    let envelope = Outgoing {
        message_type: &args.message_type,
        data: args.data.as_deref().unwrap_or(empty_object()),
        target: args.target.clone(),
    };
    let body = serde_json::to_string(&envelope).expect("text, JSON and topics are JSON");
    let published: Published = args.api.post("/api/publish", body)?;
    if args.api.json {
        say(&serde_json::to_string(&published).expect("it was JSON"))?;
    } else {
        say(&format!("accepted {}", published.accepted))?;
        for (topic, position) in &published.positions {
            say(&format!("{topic} {position}"))?;
        }
    }
    Ok(())
}

fn json(text: &str) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::from_str(text)
}
