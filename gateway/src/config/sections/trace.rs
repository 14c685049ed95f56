//! Who is told about single requests and messages.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::trace::{Collector, InvalidCollector};

/// Where spans go; nowhere unless set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trace {
    /// The address of a collector that speaks OTLP over HTTP, with JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// Certificates in PEM that vouch for that collector, instead of the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_ca_file: Option<String>,
    /// What the node is called there.
    pub service_name: String,
}

impl Default for Trace {
    fn default() -> Self {
        Self { otlp_endpoint: None, otlp_ca_file: None, service_name: "signalbox".to_owned() }
    }
}

impl Config {
    /// Whom the node tells of spans, if anybody.
    ///
    /// # Errors
    /// [`InvalidCollector`].
    pub fn collector(&self) -> Result<Option<Collector>, InvalidCollector> {
        let ca_file = self.trace.otlp_ca_file.as_deref().map(Path::new);
        let collector = |address: &String| Collector::try_new(address, ca_file, &self.trace.service_name);
        self.trace.otlp_endpoint.as_ref().map(collector).transpose()
    }
}
