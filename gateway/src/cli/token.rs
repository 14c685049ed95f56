//! `signalbox token mint|inspect`: tokens for tests and services, and what a node would make of one.
//!
//! What must stay true: of a key nothing is ever printed, of a token that is looked into no signature.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use signalbox_identity::{Algorithm, Capability, Said, SigningKey, Verifier};
use signalbox_protocol::{Agent, Tenant, Topic};

use super::api::period;
use super::credentials::TokenArgs;
use super::settings::SettingArgs;
use super::{Failure, say, small_runtime};
use crate::config::Config;
use crate::config::units::format_period;
use crate::stamps::now_ms;

/// More than any token has.
const STDIN_BYTES_MAX: u64 = 64 << 10;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and print it
    Mint(Box<MintArgs>),
    /// Print what a token says, and whether a node of this configuration takes it
    Inspect(InspectArgs),
}

#[derive(Debug, Args)]
pub(super) struct MintArgs {
    /// Sign with the key in this file: a private key in PEM, or the secret for HS256. Without it auth.secret signs
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// What that key is for: HS256, RS256, ES256 or EdDSA
    #[arg(long, value_name = "NAME", default_value = "HS256", requires = "key_file")]
    algorithm: Algorithm,
    /// The id of that key, as the nodes know it
    #[arg(long, value_name = "ID", requires = "key_file")]
    kid: Option<String>,
    /// The tenant
    #[arg(long, value_name = "TENANT", default_value = "default", value_parser = tenant)]
    tenant: Tenant,
    /// The agent that it speaks for, e.g. vehicle:V1
    #[arg(long = "as", value_name = "TYPE:ID", value_parser = agent)]
    agent: Agent,
    /// The principal behind the agent; the agent itself if absent
    #[arg(long, value_name = "NAME")]
    sub: Option<String>,
    /// The business area
    #[arg(long, value_name = "NAME")]
    pillar: Option<String>,
    /// A namespace that it may join; may be repeated. All if absent
    #[arg(long = "namespace", value_name = "NAME", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// What it may do, e.g. publish:vehicle:*; may be repeated. Everything but admin:* if absent
    #[arg(long = "capability", value_name = "VERB:WHAT", value_delimiter = ',')]
    capabilities: Vec<Capability>,
    /// How long it is valid
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime)]
    ttl: Duration,
    /// Who issues it; the first of auth.issuers if absent
    #[arg(long, value_name = "NAME")]
    iss: Option<String>,
    /// Whom it is for; the first of auth.audiences if absent
    #[arg(long, value_name = "NAME")]
    aud: Option<String>,
    #[command(flatten)]
    settings: SettingArgs,
}

/// The token comes from a file, the environment, or stdin.
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    settings: SettingArgs,
}

pub(super) fn run(command: &TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Mint(args) => mint(args),
        TokenCommand::Inspect(args) => inspect(args),
    }
}

fn mint(args: &MintArgs) -> Result<(), Failure> {
    let config = args.settings.load()?.config;
    let token = args.signing_key(&config)?.mint(&args.claims(&config)).map_err(anyhow::Error::from)?;
    Ok(say(&token)?)
}

impl MintArgs {
    fn signing_key(&self, config: &Config) -> Result<SigningKey, Failure> {
        let unusable = |error| Failure::Running(anyhow!("no token: {error}"));
        if let Some(file) = &self.key_file {
            let material = std::fs::read(file);
            let material = material.with_context(|| format!("{} can't be read", file.display()))?;
            let signing = SigningKey::try_new(self.kid.as_deref(), self.algorithm, material.trim_ascii());
            return signing.map_err(|error| unusable(error.to_string().replace("public", "private")));
        }
        let secret = config.auth.secret.as_ref().ok_or_else(|| {
            Failure::Usage(anyhow!("no key: give --key-file FILE, or a configuration with auth.secret"))
        })?;
        let id = config.auth.secret_id.as_deref();
        let signing = SigningKey::try_new(id, Algorithm::Hs256, secret.expose().as_bytes());
        signing.map_err(|error| unusable(error.to_string()))
    }

    fn claims(&self, config: &Config) -> Map<String, Value> {
        let now = now_ms() / 1_000;
        let mut claims = Map::new();
        let mut claim = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
        claim("tenant", json!(self.tenant.as_str()));
        claim("agent_type", json!(self.agent.agent_type()));
        claim("agent_id", json!(self.agent.agent_id()));
        claim("iat", json!(now));
        claim("exp", json!(now + self.ttl.as_secs()));
        let (issuer, audience) = (config.auth.issuers.first(), config.auth.audiences.first());
        for (name, text) in [
            ("sub", self.sub.as_ref()),
            ("pillar", self.pillar.as_ref()),
            ("iss", self.iss.as_ref().or(issuer)),
            ("aud", self.aud.as_ref().or(audience)),
        ] {
            text.into_iter().for_each(|text| claim(name, json!(text)));
        }
        if !self.namespaces.is_empty() {
            claim("namespaces", json!(self.namespaces));
        }
        if !self.capabilities.is_empty() {
            let names: Vec<String> = self.capabilities.iter().map(ToString::to_string).collect();
            claim("capabilities", json!(names));
        }
        claims
    }
}

fn inspect(args: &InspectArgs) -> Result<(), Failure> {
    let config = args.settings.load()?.config;
    let shown = args.token.read()?;
    let token = match shown.expose() {
        Some(token) => token.to_owned(),
        None => of_stdin()?,
    };
    let said = Said::of(&token).map_err(anyhow::Error::from)?;
    say(&format!("header {:#}\nclaims {:#}", said.header, said.claims))?;
    if !config.auth.has_keys() {
        return Ok(say(
            "not checked: no keys are configured (auth.keys, auth.secret, auth.public_key, auth.jwks_url)",
        )?);
    }
    let now = now_ms() / 1_000;
    match verifier(&config)?.verify(&token, now) {
        Ok(claims) => {
            let left = Duration::from_secs(claims.expires_at.saturating_sub(now));
            let (agent, tenant) = (claims.agent.as_str(), claims.tenant.as_str());
            Ok(say(&format!("accepted: {agent} of tenant {tenant}, ends in {}", format_period(left)))?)
        }
        Err(rejected) => Err(anyhow!("refused: {rejected}").into()),
    }
}

/// What a node of this configuration holds tokens against, with what is published now.
fn verifier(config: &Config) -> anyhow::Result<Verifier> {
    let configured = config.auth.verifier()?;
    let Some(publisher) = config.auth.publisher()? else { return Ok(configured) };
    let published = small_runtime()?.block_on(publisher.read()).context("published keys can't be read")?;
    Ok(Verifier { keys: configured.keys.with(&published), expected: configured.expected })
}

fn of_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().take(STDIN_BYTES_MAX).read_to_string(&mut text).context("no token on stdin")?;
    let token = text.trim();
    if token.is_empty() {
        bail!("no token: give --token-file FILE, $SIGNALBOX_TOKEN, or write it to stdin");
    }
    Ok(token.strip_prefix("Bearer ").unwrap_or(token).to_owned())
}

fn tenant(text: &str) -> Result<Tenant, String> {
    Tenant::try_new(text).map_err(|_| "it has to be 1 to 64 of A-Z a-z 0-9 . _ -".to_owned())
}

pub(super) fn agent(text: &str) -> Result<Agent, String> {
    let topic = Topic::try_new(text).map_err(|_| "it has to be TYPE:ID, such as vehicle:V1".to_owned())?;
    Ok(Agent::from_topic(topic))
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let ttl = period(text)?;
    if ttl.as_secs() == 0 { Err("it has to be 1s at least".to_owned()) } else { Ok(ttl) }
}
