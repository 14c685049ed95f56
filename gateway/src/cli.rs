//! The `signalbox` command line: what can be asked for, and which exit code an ending has.
//!
//! Everything that a command prints for its user goes to stdout, everything about how it went to
//! stderr. A reader that goes away (`| head`) is no failure.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::BadConfig;

mod api;
mod config;
mod connect;
mod connections;
mod credentials;
mod doctor;
mod fleet;
mod generate;
mod health;
mod http;
mod line;
mod locks;
mod logging;
mod publish;
mod revoke;
mod road;
mod seed;
mod serve;
mod settings;
mod table;
mod token;
mod topics;
mod world;

/// Signalbox: a cluster of WebSocket gateways for vehicles, passengers and services.
///
/// Without a command it serves: one node, in memory, on 127.0.0.1:8080.
#[derive(Debug, Parser)]
#[command(
    name = "signalbox",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 fine, 1 failed while running, 2 usage, 64 bad configuration."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: settings::SettingArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until SIGTERM or SIGINT
    Serve(settings::SettingArgs),
    /// Ask the node that is configured here whether it is well, for health checks; exit code 1 if not
    Health(health::HealthArgs),
    /// Connect, print what arrives, send what is typed
    Connect(connect::ConnectArgs),
    /// Send one message through a node's HTTP API
    Publish(publish::PublishArgs),
    /// List the group topics that are followed
    Topics(topics::TopicsArgs),
    /// List connections
    Connections(connections::ConnectionsArgs),
    /// List the locks that are held
    Locks(locks::LocksArgs),
    /// Fill reservoirs with made-up passengers
    Seed(seed::SeedArgs),
    /// Simulate a fleet against a running cluster, and check what the cluster says
    Fleet(fleet::FleetArgs),
    /// Take tokens no longer that were issued up to now, and close their connections
    Revoke(revoke::RevokeArgs),
    /// Make tokens for tests and services, or look into one
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Look at an installation: what is wrong with it, and what to do about it
    Doctor(doctor::DoctorArgs),
    /// Explain the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make man pages and shell completions
    #[command(subcommand)]
    Generate(generate::GenerateCommand),
}

impl Cli {
    /// Runs what was asked for, to its end.
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            None => serve::run(&self.settings),
            Some(Command::Serve(settings)) => serve::run(&settings),
            Some(Command::Health(args)) => health::run(&args),
            Some(Command::Connect(args)) => connect::run(&args),
            Some(Command::Publish(args)) => publish::run(&args),
            Some(Command::Topics(args)) => topics::run(&args),
            Some(Command::Connections(args)) => connections::run(&args),
            Some(Command::Locks(args)) => locks::run(&args),
            Some(Command::Seed(args)) => seed::run(&args),
            Some(Command::Fleet(args)) => fleet::run(&args),
            Some(Command::Revoke(args)) => revoke::run(&args),
            Some(Command::Token(command)) => token::run(&command),
            Some(Command::Doctor(args)) => doctor::run(&args),
            Some(Command::Config(command)) => config::run(&command),
            Some(Command::Generate(command)) => generate::run(&command),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Running(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
            Err(failure) => {
                // With stderr gone too, the exit code is all that can be told.
                writeln!(io::stderr(), "{failure}").ok();
                failure.exit_code()
            }
        }
    }
}

/// Why a command ended badly, by exit code. Most bad usage is found and reported by clap.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    BadConfig(#[from] BadConfig),
    #[error(
        "bad configuration:\n  environment variable RUST_LOG: must be `level` or `target=level`, with commas between"
    )]
    BadRustLog,
    #[error("error: {}\n\nFor more information, try '--help'.", with_causes(.0))]
    Usage(anyhow::Error),
    #[error("error: {}", with_causes(.0))]
    Running(#[from] anyhow::Error),
    #[error("{0}")]
    Unwell(doctor::Unwell),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Running(_) | Self::Unwell(doctor::Unwell::Wrong(_)) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::BadConfig(_) | Self::BadRustLog | Self::Unwell(doctor::Unwell::BadConfig) => {
                ExitCode::from(64)
            }
        }
    }
}

/// The error and its causes, without those that the text before them tells already.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.ends_with(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes `text` and a line's end to stdout.
fn say(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", text.trim_end())?;
    stdout.flush()?;
    Ok(())
}

/// A runtime for a command that does one thing at a time.
fn small_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

#[cfg(test)]
mod tests;
