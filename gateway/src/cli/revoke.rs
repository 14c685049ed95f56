//! `signalbox revoke`: tokens of an agent, a principal or a session are no longer taken.

use clap::{ArgGroup, Args};
use serde_json::{Map, Value, json};
use signalbox_protocol::Agent;

use super::api::ApiArgs;
use super::token::agent;
use super::{Failure, say};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["agent", "subject", "session"]))]
pub(super) struct RevokeArgs {
    /// Those that speak for this agent, e.g. vehicle:V1
    #[arg(long, value_name = "TYPE:ID", value_parser = agent)]
    agent: Option<Agent>,
    /// Those of this principal, for whichever agent
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Those that are shown in this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    #[command(flatten)]
    api: ApiArgs,
}

pub(super) fn run(args: &RevokeArgs) -> Result<(), Failure> {
    let agent = args.agent.as_ref().map(|agent| ("agent", json!(agent)));
    let subject = args.subject.as_ref().map(|subject| ("subject", json!(subject)));
    let session = args.session.as_ref().map(|session| ("session", json!(session)));
    let whose = [agent, subject, session].into_iter().flatten();
    let body: Map<String, Value> = whose.map(|(name, value)| (name.to_owned(), value)).collect();
    let told: Value = args.api.post("/api/revocations", Value::from(body).to_string())?;
    if args.api.json {
        return Ok(say(&told.to_string())?);
    }
    let (at, until) = (&told["revoked_at"], &told["kept_until"]);
    let at = at.as_str().unwrap_or_default();
    let until = until.as_str().unwrap_or_default();
    Ok(say(&format!(
        "revoked: tokens issued up to {at}; kept until {until}; {} other nodes told",
        told["nodes_told"]
    ))?)
}
