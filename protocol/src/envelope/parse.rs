//! Reading a client's message: one pass that finds the fields, then a check of each.
//!
//! The pass keeps every field as raw text and so can't fail on a field of the wrong type, nor recurse
//! into one: what fails is the JSON itself, and what was found before is still there to tell the
//! sender which of its requests it was.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Incoming, Malformed};
use crate::error::{ErrorCode, Fault};
use crate::json;
use crate::limits::MESSAGE_ID_CHARS_MAX;
use crate::message_type::is_message_type;
use crate::target::Target;
use crate::timestamp::is_rfc3339;

pub(super) fn parse(text: &str) -> Result<Incoming<'_>, Malformed> {
    let mut fields = Fields::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let found = fields.deserialize(&mut json).and_then(|()| json.end());
    let checked = match found {
        Ok(()) => fields.check(),
        Err(error) => Err(not_an_object(text, &error)),
    };
    checked.map_err(|fault| Malformed { fault, correlation_id: fields.answer_to() })
}

/// The fields of a message as they stand in its text.
#[derive(Default)]
struct Fields<'a> {
    raw: [Option<&'a RawValue>; 7],
    repeated: Option<Field>,
}

/// A field with a meaning. Others, `source` among them, are dropped.
#[derive(Clone, Copy)]
enum Field {
    Id,
    Type,
    Timestamp,
    Data,
    Target,
    CorrelationId,
    Metadata,
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Type => "type",
            Self::Timestamp => "timestamp",
            Self::Data => "data",
            Self::Target => "target",
            Self::CorrelationId => "correlationId",
            Self::Metadata => "metadata",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "type" => Self::Type,
            "timestamp" => Self::Timestamp,
            "data" => Self::Data,
            "target" => Self::Target,
            "correlationId" => Self::CorrelationId,
            "metadata" => Self::Metadata,
            _ => return None,
        })
    }
}

impl<'a> Fields<'a> {
    fn check(&self) -> Result<Incoming<'a>, Fault> {
        if let Some(field) = self.repeated {
            return Err(invalid(field, "occurs twice: send each field once"));
        }
        let metadata = self.present(Field::Metadata);
        let target_raw = self.present(Field::Target);
        Ok(Incoming {
            message_type: self.message_type()?,
            id: self.reference(Field::Id)?,
            correlation_id: self.reference(Field::CorrelationId)?,
            timestamp: self.timestamp()?,
            data: self.raw[Field::Data as usize],
            target: target_raw.map_or(Ok(Target::Default), Target::parse)?,
            target_raw,
            metadata,
            ack: metadata.map_or(Ok(false), asks_for_ack)?,
        })
    }

    fn message_type(&self) -> Result<Cow<'a, str>, Fault> {
        let Some(raw) = self.present(Field::Type) else {
            return Err(invalid(
                Field::Type,
                "is missing: name the message's type, e.g. \"vehicle:status_change\"",
            ));
        };
        let message_type = text_of(Field::Type, raw)?;
        if is_message_type(&message_type) {
            Ok(message_type)
        } else {
            let message = "type has to be group:name, each of a-z and _, at most 64 characters together";
            Err(Fault::new(ErrorCode::InvalidType, message).in_field("type"))
        }
    }

    fn timestamp(&self) -> Result<Option<Cow<'a, str>>, Fault> {
        let Some(raw) = self.present(Field::Timestamp) else { return Ok(None) };
        let text = text_of(Field::Timestamp, raw)?;
        if is_rfc3339(&text) {
            Ok(Some(text))
        } else {
            let what = "has to be an RFC 3339 date-time with a zone, e.g. 2026-01-01T08:00:00.000Z; \
                        leave it out to have it stamped";
            Err(invalid(Field::Timestamp, what))
        }
    }

    /// An `id` or `correlationId`.
    fn reference(&self, field: Field) -> Result<Option<Cow<'a, str>>, Fault> {
        let Some(raw) = self.present(field) else { return Ok(None) };
        let text = text_of(field, raw)?;
        if is_reference(&text) {
            Ok(Some(text))
        } else {
            Err(invalid(field, "has to have 1 to 128 characters, none of them a control character"))
        }
    }

    /// Whatever can be told about which request this was.
    fn answer_to(&self) -> Option<String> {
        let told = |field| self.reference(field).ok().flatten();
        told(Field::CorrelationId).or_else(|| told(Field::Id)).map(Cow::into_owned)
    }

    /// The field's text, unless it is absent or `null`.
    fn present(&self, field: Field) -> Option<&'a RawValue> {
        self.raw[field as usize].filter(|raw| raw.get() != "null")
    }
}

impl<'a> DeserializeSeed<'a> for &mut Fields<'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for &mut Fields<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Name(Field::of))? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let earlier = self.raw[field as usize].replace(map.next_value()?);
            if earlier.is_some() {
                self.repeated.get_or_insert(field);
            }
        }
        Ok(())
    }
}

/// Reads a field's name as what the function makes of it, without keeping a copy.
struct Name<F>(F);

impl<'a, T, F: Fn(&str) -> T> DeserializeSeed<'a> for Name<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: Fn(&str) -> T> Visitor<'_> for Name<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<T, E> {
        Ok(self.0(name))
    }
}

/// What is wrong with a text in which no object could be read.
fn not_an_object(text: &str, error: &serde_json::Error) -> Fault {
    if serde_json::from_str::<IgnoredAny>(text).is_ok() {
        Fault::new(
            ErrorCode::InvalidEnvelope,
            "a message has to be a JSON object with at least the field type",
        )
    } else {
        let message = format!("the text is not JSON ({error}): send one JSON object in each text frame");
        Fault::new(ErrorCode::InvalidJson, message)
    }
}

fn invalid(field: Field, what: &str) -> Fault {
    Fault::new(ErrorCode::InvalidEnvelope, format!("{} {what}", field.name())).in_field(field.name())
}

/// The string that a raw value is.
fn text_of(field: Field, raw: &RawValue) -> Result<Cow<'_, str>, Fault> {
    let text = raw.get();
    match text.as_bytes() {
        [b'"', .., b'"'] if !text.contains('\\') => Ok(Cow::Borrowed(&text[1..text.len() - 1])),
        [b'"', ..] => serde_json::from_str(text).map(Cow::Owned).map_err(|error| {
            invalid(field, &format!("is not valid text ({})", json::without_position(&error)))
        }),
        _ => Err(invalid(field, "has to be a string")),
    }
}

fn is_reference(text: &str) -> bool {
    let short = text.len() <= MESSAGE_ID_CHARS_MAX || text.chars().count() <= MESSAGE_ID_CHARS_MAX;
    !text.is_empty() && short && !text.chars().any(char::is_control)
}

/// `metadata.ack`, after a check that metadata is an object.
fn asks_for_ack(metadata: &RawValue) -> Result<bool, Fault> {
    match metadata.get() {
        "{}" => Ok(false),
        text if text.starts_with('{') => {
            let mut json = serde_json::Deserializer::from_str(text);
            json.deserialize_map(AckVisitor).map_err(|error| {
                Fault::new(
                    ErrorCode::InvalidEnvelope,
                    format!("metadata: {}", json::without_position(&error)),
                )
                .in_field("metadata")
            })
        }
        _ => Err(invalid(Field::Metadata, "has to be an object")),
    }
}

struct AckVisitor;

impl<'a> Visitor<'a> for AckVisitor {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = None;
        while let Some(is_ack) = map.next_key_seed(Name(|name: &str| name == "ack"))? {
            if !is_ack {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value::<Option<bool>>()?.unwrap_or(false)).is_some() {
                return Err(serde::de::Error::custom("ack occurs twice"));
            }
        }
        Ok(found.unwrap_or(false))
    }
}
