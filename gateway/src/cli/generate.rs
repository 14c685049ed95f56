//! `signalbox generate man|completions`: what packages install beside the binary, made from the same definitions as `--help`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;

use super::{Cli, Failure, say};

#[derive(Debug, Subcommand)]
pub(super) enum GenerateCommand {
    /// Write the man pages, one for each command, into a folder
    Man {
        /// The folder; made if it is missing
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// Print what makes a shell complete commands and flags
    Completions {
        /// The shell
        shell: Shell,
    },
}

pub(super) fn run(command: &GenerateCommand) -> Result<(), Failure> {
    let mut definitions = Cli::command();
    match command {
        GenerateCommand::Man { folder } => {
            let writing = || format!("the man pages can't be written into {}", folder.display());
            std::fs::create_dir_all(folder).with_context(writing)?;
            clap_mangen::generate_to(definitions, folder).with_context(writing)?;
            say(&format!("written into {}: man -l {}/signalbox.1", folder.display(), folder.display()))?;
        }
        GenerateCommand::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut definitions, "signalbox", &mut script);
            io::stdout().write_all(&script).map_err(anyhow::Error::from)?;
        }
    }
    Ok(())
}
