//! What `deny.toml` demands, as far as this crate can hold it.

use serde::Deserialize;

/// The rules of a `deny.toml`. Reading one with a key that is not here fails.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    graph: Targets,
    licenses: Licenses,
    bans: Bans,
    #[expect(dead_code, reason = "both keys have one value each, and `breaches` always enforces it")]
    sources: Sources,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Targets {
    targets: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    #[expect(dead_code, reason = "its one value demands nothing")]
    multiple_versions: Allow,
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "read only so that another value is an error")]
struct Sources {
    unknown_registry: Deny,
    unknown_git: Deny,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Allow {
    Allow,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Deny {
    Deny,
}

/// A crate that only its wrappers may depend on directly.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ban {
    /// The crate that is walled off.
    #[serde(rename = "crate")]
    pub name: String,
    /// The packages that may depend on it; none if empty.
    #[serde(default)]
    pub wrappers: Vec<String>,
}

impl Rules {
    /// Reads the text of a `deny.toml`.
    ///
    /// # Errors
    /// When it is not TOML, or holds a key or value that this crate can't enforce.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The targets whose dependencies count.
    pub fn targets(&self) -> &[String] {
        &self.graph.targets
    }

    /// The bans, in the order of the file.
    pub fn bans(&self) -> &[Ban] {
        &self.bans.deny
    }

    pub(crate) fn ban_of(&self, package: &str) -> Option<&Ban> {
        self.bans.deny.iter().find(|ban| ban.name == package)
    }

    pub(crate) fn allows_licence(&self, id: &str) -> bool {
        self.licenses.allow.iter().any(|allowed| allowed == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        graph.targets = ["t"]
        licenses.allow = ["MIT"]
        bans = { multiple-versions = "allow", deny = [{ crate = "redis", wrappers = ["registry"] }] }
        sources = { unknown-registry = "deny", unknown-git = "deny" }
    "#;

    #[test]
    fn a_rule_that_is_not_enforced_here_is_an_error() {
        assert!(Rules::parse(GOOD).is_ok());
        let unknown_key = format!("{GOOD}\nbans.wildcards = 'deny'");
        assert!(Rules::parse(&unknown_key).is_err());
        for (from, to) in [
            ("multiple-versions = \"allow\"", "multiple-versions = \"deny\""),
            ("unknown-git = \"deny\"", "unknown-git = \"warn\""),
            ("wrappers", "reason = 'x', wrappers"),
        ] {
            assert!(Rules::parse(&GOOD.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn bans_are_found_by_exact_name() {
        let rules = Rules::parse(GOOD).unwrap();
        assert_eq!(rules.ban_of("redis").unwrap().wrappers, ["registry"]);
        assert!(rules.ban_of("redis-protocol").is_none());
        assert!(rules.allows_licence("MIT") && !rules.allows_licence("mit"));
    }
}
