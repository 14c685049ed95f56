//! What may stand for the target of a message.

use signalbox_protocol::limits::TARGETS_MAX;
use signalbox_protocol::{Agent, InvalidTopic, Target, Topic, Topics};
use thiserror::Error;

/// Something that can't be the target of a message.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum InvalidTarget {
    /// Not a topic.
    #[error("{text:?} is not a topic")]
    Topic {
        /// What was given.
        text: String,
        /// What a topic is.
        #[source]
        source: InvalidTopic,
    },
    /// A list without topics: leave the target out instead.
    #[error("the list of topics is empty")]
    Empty,
    /// More topics than one message may name.
    #[error("{0} topics: a message names at most {TARGETS_MAX}")]
    TooMany(usize),
}

/// What may stand for the target of a message: a topic, a list of topics, or `None` for the
/// connection's namespace.
pub trait IntoTarget {
    /// Checks it.
    ///
    /// # Errors
    /// [`InvalidTarget`] when it is not a topic, or a list of no or too many topics.
    fn into_target(self) -> Result<Target, InvalidTarget>;
}

impl IntoTarget for Target {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        Ok(self)
    }
}

impl IntoTarget for Topic {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        Ok(self.into())
    }
}

impl IntoTarget for &Topic {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        self.clone().into_target()
    }
}

impl IntoTarget for &Agent {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        self.topic().into_target()
    }
}

impl IntoTarget for &str {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        parse_topic(self)?.into_target()
    }
}

impl IntoTarget for Option<&str> {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        self.map_or(Ok(Target::Default), IntoTarget::into_target)
    }
}

impl IntoTarget for Topics {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        self.as_slice().into_target()
    }
}

impl IntoTarget for &[Topic] {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        list(self.iter().cloned().map(Ok))
    }
}

impl IntoTarget for &[&str] {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        list(self.iter().map(|text| parse_topic(text)))
    }
}

impl<const N: usize> IntoTarget for [&str; N] {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        self.as_slice().into_target()
    }
}

fn parse_topic(text: &str) -> Result<Topic, InvalidTarget> {
    Topic::try_new(text).map_err(|source| InvalidTarget::Topic { text: text.to_owned(), source })
}

fn list(named: impl Iterator<Item = Result<Topic, InvalidTarget>>) -> Result<Target, InvalidTarget> {
    let mut topics = Topics::new();
    for topic in named {
        let topic = topic?;
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    match topics.len() {
        0 => Err(InvalidTarget::Empty),
        1..=TARGETS_MAX => Ok(Target::Topics(topics)),
        many => Err(InvalidTarget::TooMany(many)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(target: impl IntoTarget) -> Vec<String> {
        let target = target.into_target().expect("it is a target");
        target.topics().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_target_is_nothing_a_topic_or_a_list() {
        assert!(topics(None).is_empty());
        assert_eq!(topics("route:12"), ["route:12"]);
        assert_eq!(topics(Some("route:12")), ["route:12"]);
        assert_eq!(topics(["route:12", "depot:4", "route:12"]), ["route:12", "depot:4"]);
        let topic = Topic::try_new("route:12").unwrap();
        assert_eq!(topics(&topic), ["route:12"]);
        assert_eq!(topics(Target::from(topic)), ["route:12"]);
    }

    #[test]
    fn what_is_not_a_target_says_why() {
        assert!(matches!("route".into_target(), Err(InvalidTarget::Topic { .. })));
        assert_eq!([""; 0].into_target(), Err(InvalidTarget::Empty));
        let many: Vec<Topic> =
            (0..=TARGETS_MAX).map(|n| Topic::of("route", &n.to_string()).unwrap()).collect();
        assert_eq!(many.as_slice().into_target(), Err(InvalidTarget::TooMany(TARGETS_MAX + 1)));
        assert!(many[1..].into_target().is_ok());
    }
}
