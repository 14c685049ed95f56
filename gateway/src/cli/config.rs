//! `signalbox config check|show|default`: what a node would run with, and what is wrong with it.

use clap::Subcommand;

use super::settings::SettingArgs;
use super::{Failure, say};
use crate::config::{Origin, SETTINGS, render};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check the configuration and list all that is wrong with it
    Check(SettingArgs),
    /// Print the effective values, each with where it comes from
    Show(SettingArgs),
    /// Print every setting with its default, unit and reason, as a file to start from
    Default,
}

pub(super) fn run(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(args) => {
            let loaded = args.load()?;
            let set =
                SETTINGS.iter().filter(|setting| *loaded.origin(setting.key) != Origin::Default).count();
            say(&format!("the configuration is fine: {set} of {} settings are set", SETTINGS.len()))?;
        }
        ConfigCommand::Show(args) => say(&render::effective(&args.load()?))?,
        ConfigCommand::Default => say(&render::default_file())?,
    }
    Ok(())
}
