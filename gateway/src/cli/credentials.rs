//! The token that a command shows a node. Never a flag's value, which every user of the machine could read: a file,
//! or the environment.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::http::request::Builder;
use signalbox_client::Bearer;

/// Where the token is.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct TokenArgs {
    /// Show the token in this file (or that of $SIGNALBOX_TOKEN, or in the file $SIGNALBOX_TOKEN_FILE)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A token, or none. Never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Credentials(Option<String>);

impl TokenArgs {
    /// Reads it.
    pub(super) fn read(&self) -> anyhow::Result<Credentials> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let file = self.token_file.clone();
        if file.is_none()
            && let Some(token) = variable("SIGNALBOX_TOKEN")
        {
            let token = token.into_string().ok().context("SIGNALBOX_TOKEN is no text")?;
            return Credentials::of(&token);
        }
        match file.or_else(|| variable("SIGNALBOX_TOKEN_FILE").map(PathBuf::from)) {
            Some(file) => {
                let token = std::fs::read_to_string(&file)
                    .with_context(|| format!("the token in {} can't be read", file.display()))?;
                Credentials::of(&token)
            }
            None => Ok(Credentials::default()),
        }
    }
}

impl Credentials {
    fn of(text: &str) -> anyhow::Result<Self> {
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("the token has to be one line of ASCII characters");
        }
        Ok(Self(Some(token.to_owned())))
    }

    /// The token itself, for those who look into it.
    pub(super) fn expose(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// For a WebSocket.
    pub(super) fn bearer(&self) -> Option<Bearer> {
        self.0.clone().map(Bearer::from)
    }

    /// Puts it on a request.
    pub(super) fn on(&self, request: Builder) -> Builder {
        let Some(token) = &self.0 else { return request };
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).expect("it is ASCII without spaces");
        value.set_sensitive(true);
        request.header(AUTHORIZATION, value)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "***" } else { "none" })
    }
}
