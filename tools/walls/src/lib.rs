//! Holds `deny.toml` against what cargo says the workspace depends on.
//!
//! Licences, banned dependencies (the walls between the crates) and sources, in the format of
//! cargo-deny, so that the same file serves both; here it costs a fraction of a second inside `cargo test`.
//! Everything but [`cargo_metadata`] is a pure function. A key of `deny.toml` that this crate can't
//! hold is an error, so that no rule stands there unenforced. No other crate depends on this one.

mod graph;
mod licence;
mod rules;

pub use graph::{Graph, MetadataError, cargo_metadata};
pub use rules::{Ban, Rules};

use thiserror::Error;

/// One way in which the workspace breaks `deny.toml`.
#[derive(Debug, Error, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breach {
    /// A banned crate has a direct dependent that its `wrappers` do not name.
    #[error("{dependent} depends on {banned}, which is walled off from it")]
    Wall {
        /// The banned crate.
        banned: String,
        /// Who depends on it all the same.
        dependent: String,
    },
    /// No choice that the licence expression offers is on the allow-list.
    #[error("{package} is licensed as `{expression}`, which the allow-list does not cover")]
    Licence {
        /// Name and version.
        package: String,
        /// Its SPDX expression; empty if it declares none.
        expression: String,
    },
    /// A package that comes neither from the workspace nor from the one registry.
    #[error("{package} comes from {from}, not from the registry")]
    Source {
        /// Name and version.
        package: String,
        /// Where cargo takes it from.
        from: String,
    },
}

/// All breaches of `rules` in `graph`, sorted, each once.
pub fn breaches(graph: &Graph, rules: &Rules) -> Vec<Breach> {
    let mut found: Vec<Breach> =
        walls(graph, rules).chain(licences(graph, rules)).chain(sources(graph)).collect();
    found.sort();
    found.dedup();
    found
}

fn walls<'a>(graph: &'a Graph, rules: &'a Rules) -> impl Iterator<Item = Breach> + 'a {
    graph.dependencies().filter_map(|(dependent, dependency)| {
        let ban = rules.ban_of(dependency)?;
        let allowed = ban.wrappers.iter().any(|wrapper| wrapper == dependent);
        (!allowed).then(|| Breach::Wall { banned: dependency.to_owned(), dependent: dependent.to_owned() })
    })
}

fn licences<'a>(graph: &'a Graph, rules: &'a Rules) -> impl Iterator<Item = Breach> + 'a {
    graph.packages().filter_map(|package| {
        let expression = package.license.as_deref().unwrap_or_default();
        let allowed = licence::satisfied(expression, |id| rules.allows_licence(id));
        (!allowed)
            .then(|| Breach::Licence { package: package.to_string(), expression: expression.to_owned() })
    })
}

fn sources(graph: &Graph) -> impl Iterator<Item = Breach> + '_ {
    let registry = graph.packages().find_map(|package| package.registry());
    graph.packages().filter_map(move |package| {
        let from = package.source.as_deref()?;
        let allowed = package.registry().is_some() && package.registry() == registry;
        (!allowed).then(|| Breach::Source { package: package.to_string(), from: from.to_owned() })
    })
}
