//! The flags that set settings, shared by `serve`, `config check` and `config show`.

use std::path::PathBuf;

use clap::Args;

use crate::config::{FlagValue, Loaded, Sources, load};

/// Where the configuration comes from. Flags win over the environment, which wins over the file.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SettingArgs {
    /// Read settings from this TOML file (or $SIGNALBOX_CONFIG)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve WebSocket and HTTP here
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Share state through this Redis; without it the node is alone, in memory
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Believe identities from the query even where other machines can connect
    #[arg(long)]
    allow_anonymous: bool,
    /// Set any setting, e.g. outbox.bytes_max="2 MiB" (`signalbox config default` lists all)
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    settings: Vec<(String, String)>,
}

impl SettingArgs {
    /// Reads, merges and checks all sources, with the environment of this process.
    pub(super) fn load(&self) -> Result<Loaded, crate::config::BadConfig> {
        let named_by_variable = std::env::var_os("SIGNALBOX_CONFIG").filter(|path| !path.is_empty());
        load(&Sources {
            file: self.config.clone().or(named_by_variable.map(PathBuf::from)),
            variables: std::env::vars_os().collect(),
            flags: self.flags(),
        })
    }

    fn flags(&self) -> Vec<FlagValue> {
        let flag = |flag: &str, key: &str, value: &str| FlagValue {
            flag: flag.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let listen = self.listen.iter().map(|value| flag("--listen", "listen", value));
        let redis = self.redis.iter().map(|value| flag("--redis", "redis.url", value));
        let anonymous = self.allow_anonymous.then(|| flag("--allow-anonymous", "allow_anonymous", "true"));
        let others = self.settings.iter().map(|(key, value)| flag(&format!("--set {key}"), key, value));
        listen.chain(redis).chain(anonymous).chain(others).collect()
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has to be KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
