//! The names that an operator may choose: agent types and namespaces.

use std::fmt;

use thiserror::Error;

use crate::topic::{is_topic_id, is_topic_kind};

/// Topic kinds with a meaning of their own: no agent type may have such a name.
const RESERVED_KINDS: [&str; 8] =
    ["session", "connection", "namespace", "agent_type", "pillar", "route", "depot", "order"];

const AGENT_TYPES: [&str; 10] = [
    "vehicle",
    "passenger",
    "driver",
    "user",
    "conductor",
    "service",
    "dashboard",
    "guide",
    "liaison",
    "guest",
];

const NAMESPACES: [&str; 4] = ["depot-reservoir", "route-reservoir", "vehicle-events", "system-events"];

/// The agent types and namespaces that a cluster knows. Every node of a cluster must have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    agent_types: Vec<String>,
    namespaces: Vec<String>,
}

/// A vocabulary that can't be used, with everything that is wrong with it.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{}", join(.problems))]
pub struct InvalidVocabulary {
    /// What is wrong; never empty.
    pub problems: Vec<WordProblem>,
}

/// What is wrong with one word of a vocabulary.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum WordProblem {
    /// There has to be at least one agent type, or nobody could connect.
    #[error("no agent type is listed")]
    NoAgentType,
    /// An agent type is also the kind of a topic.
    #[error("agent type {0:?}: it has to start with a-z and go on with up to 31 of a-z 0-9 _")]
    NotAKind(String),
    /// The kind means something else already.
    #[error("agent type {0:?}: this name is taken by a kind of topic")]
    Reserved(String),
    /// A namespace is also the id of a topic.
    #[error("namespace {0:?}: it has to be 1 to 128 characters of A-Z a-z 0-9 . _ ~ @ + -")]
    NotAnId(String),
    /// The word is listed twice.
    #[error("{0:?} is listed twice")]
    Repeated(String),
}

impl Vocabulary {
    /// Checks every word.
    ///
    /// # Errors
    /// [`InvalidVocabulary`] with all problems at once.
    pub fn try_new(agent_types: Vec<String>, namespaces: Vec<String>) -> Result<Self, InvalidVocabulary> {
        let mut problems = Vec::new();
        if agent_types.is_empty() {
            problems.push(WordProblem::NoAgentType);
        }
        problems.extend(agent_types.iter().filter_map(|name| agent_type_problem(name)));
        problems.extend(
            namespaces
                .iter()
                .filter(|name| !is_topic_id(name))
                .map(|name| WordProblem::NotAnId(name.clone())),
        );
        for words in [&agent_types, &namespaces] {
            problems.extend(repeated(words).map(|word| WordProblem::Repeated(word.clone())));
        }
        if problems.is_empty() {
            Ok(Self { agent_types, namespaces })
        } else {
            Err(InvalidVocabulary { problems })
        }
    }

    /// The agent types, in the order given.
    pub fn agent_types(&self) -> &[String] {
        &self.agent_types
    }

    /// The namespaces, in the order given.
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    /// Whether `name` is one of the agent types.
    pub fn is_agent_type(&self, name: &str) -> bool {
        self.agent_types.iter().any(|agent_type| agent_type == name)
    }

    /// Whether `name` is one of the namespaces.
    pub fn is_namespace(&self, name: &str) -> bool {
        self.namespaces.iter().any(|namespace| namespace == name)
    }

    /// Whether a topic of this kind names one client (a session, a connection, an agent) and so is
    /// found through the directory. Any other kind is a group that connections subscribe to.
    pub fn is_point_kind(&self, kind: &str) -> bool {
        matches!(kind, "session" | "connection") || self.is_agent_type(kind)
    }
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self {
            agent_types: AGENT_TYPES.map(String::from).to_vec(),
            namespaces: NAMESPACES.map(String::from).to_vec(),
        }
    }
}

fn agent_type_problem(name: &str) -> Option<WordProblem> {
    if !is_topic_kind(name) {
        Some(WordProblem::NotAKind(name.into()))
    } else if RESERVED_KINDS.contains(&name) {
        Some(WordProblem::Reserved(name.into()))
    } else {
        None
    }
}

fn repeated(words: &[String]) -> impl Iterator<Item = &String> {
    words.iter().enumerate().filter(|(at, word)| words[..*at].contains(word)).map(|(_, word)| word)
}

fn join(problems: &[impl fmt::Display]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.into()).collect()
    }

    #[test]
    fn the_default_vocabulary_is_valid() {
        let default = Vocabulary::default();
        let checked = Vocabulary::try_new(strings(&AGENT_TYPES), strings(&NAMESPACES));
        assert_eq!(checked, Ok(default));
    }

    #[test]
    fn point_kinds_are_sessions_connections_and_agents() {
        let vocabulary = Vocabulary::default();
        for point in ["session", "connection", "vehicle", "guest"] {
            assert!(vocabulary.is_point_kind(point), "{point}");
        }
        for group in ["namespace", "agent_type", "pillar", "route", "depot", "order", "zone", "tram"] {
            assert!(!vocabulary.is_point_kind(group), "{group}");
        }
        assert!(vocabulary.is_namespace("route-reservoir") && !vocabulary.is_namespace("route"));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let invalid =
            Vocabulary::try_new(strings(&["Tram", "route", "tram", "tram"]), strings(&["a b"])).unwrap_err();
        assert_eq!(
            invalid.problems,
            [
                WordProblem::NotAKind("Tram".into()),
                WordProblem::Reserved("route".into()),
                WordProblem::NotAnId("a b".into()),
                WordProblem::Repeated("tram".into()),
            ]
        );
        assert!(invalid.to_string().contains("\"Tram\"") && invalid.to_string().contains("; "));
        for reserved in RESERVED_KINDS {
            assert!(Vocabulary::try_new(strings(&[reserved]), vec![]).is_err(), "{reserved}");
        }
        assert!(Vocabulary::try_new(vec![], vec![]).is_err());
    }
}
