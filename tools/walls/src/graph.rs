//! The dependency graph of the workspace, as `cargo metadata` tells it.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use thiserror::Error;

/// All packages that the workspace builds with, and who depends on whom (for builds, tests and build scripts).
#[derive(Debug, Deserialize)]
pub struct Graph {
    packages: Vec<Package>,
    resolve: Resolve,
}

/// One package of the graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    id: String,
    name: String,
    version: String,
    pub(crate) license: Option<String>,
    pub(crate) source: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// Why there is no graph.
#[derive(Debug, Error)]
pub enum MetadataError {
    /// Cargo could not be started.
    #[error("cargo can't be run")]
    Run(#[source] std::io::Error),
    /// Cargo refused; what it wrote to its standard error.
    #[error("cargo metadata failed: {0}")]
    Refused(String),
    /// Cargo answered in another shape than format version 1.
    #[error("cargo metadata can't be read")]
    Shape(#[from] serde_json::Error),
}

impl Graph {
    /// Reads the JSON of `cargo metadata --format-version 1`.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Every direct dependency as (dependent, dependency), by package name.
    pub fn dependencies(&self) -> impl Iterator<Item = (&str, &str)> {
        let names: HashMap<&str, &str> =
            self.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
        let mut pairs = Vec::new();
        for node in &self.resolve.nodes {
            for dependency in &node.dependencies {
                pairs.push((names[node.id.as_str()], names[dependency.as_str()]));
            }
        }
        pairs.into_iter()
    }

    /// The packages that the graph reaches (metadata lists those of other targets too).
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Package> {
        let reached: std::collections::HashSet<&str> =
            self.resolve.nodes.iter().map(|node| node.id.as_str()).collect();
        self.packages.iter().filter(move |package| reached.contains(package.id.as_str()))
    }
}

impl Package {
    /// The registry that it comes from, if it comes from one.
    pub(crate) fn registry(&self) -> Option<&str> {
        let source = self.source.as_deref()?;
        ["registry+", "sparse+"].iter().any(|scheme| source.starts_with(scheme)).then_some(source)
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// Asks cargo for the graph of the workspace at `root`, built for `targets`.
///
/// # Errors
/// [`MetadataError`] when cargo can't be run, refuses, or answers in another shape.
pub fn cargo_metadata(root: &Path, targets: &[String]) -> Result<Graph, MetadataError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["metadata", "--format-version", "1"]);
    for target in targets {
        command.args(["--filter-platform", target]);
    }
    let output = command.output().map_err(MetadataError::Run)?;
    if !output.status.success() {
        return Err(MetadataError::Refused(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(Graph::parse(&output.stdout)?)
}
