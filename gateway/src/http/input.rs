//! What handlers take beside who asks: parameters, names in the path, bodies. Each refuses with a problem that names
//! the field, and tells the description of the API about itself.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, RawPathParams, Request, State};
use axum::http::request::Parts;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use signalbox_protocol::control::parse_body;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{ConnectionId, NodeId, OrderId, PassengerId, Topic, VehicleId};
use tokio::sync::OwnedSemaphorePermit;

use super::bodies::{self, Arrived};
use super::document::Draft;
use super::problem::Problem;
use super::table::Input;
use crate::node::Node;

/// A page of a list unless the asker says otherwise, and the most that one holds.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

impl Input for State<Arc<Node>> {
    fn describe(_: &mut Draft<'_>) {}
}

impl Input for Request {
    fn describe(_: &mut Draft<'_>) {}
}

impl Input for Path<String> {
    fn describe(draft: &mut Draft<'_>) {
        draft.path_parameter::<String>();
    }
}

/// The fields of the query that `Q` has. The others are ignored.
#[derive(Debug)]
pub(super) struct Params<Q>(pub(super) Q);

impl<Q: DeserializeOwned> FromRequestParts<Arc<Node>> for Params<Q> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Node>) -> Result<Self, Problem> {
        let read = Query::<Q>::try_from_uri(&parts.uri);
        read.map(|Query(fields)| Self(fields)).map_err(|rejection| bad_query(&rejection.body_text()))
    }
}

impl<Q: JsonSchema> Input for Params<Q> {
    fn describe(draft: &mut Draft<'_>) {
        draft.query::<Q>();
        draft.refuses(422, UNPROCESSABLE);
    }
}

pub(super) const UNPROCESSABLE: &str =
    "A field that can't be: `details.field` names it, and `details.index` its place in a list.";

/// What is wrong with a query, by the words of axum and serde: `field: what`, or the field in backticks.
fn bad_query(text: &str) -> Problem {
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    let in_backticks = || text.strip_prefix("missing field `").or(text.strip_prefix("duplicate field `"));
    let field = match text.split_once(": ") {
        Some((field, _)) => Some(field),
        None => in_backticks().and_then(|rest| rest.split('`').next()),
    };
    let fault = Fault::new(ErrorCode::InvalidData, text.to_owned());
    field.map_or_else(|| fault.clone(), |field| fault.clone().in_field(field)).into()
}

/// A field that can't be.
pub(super) fn invalid(field: &str, error: &dyn std::error::Error) -> Problem {
    Fault::new(ErrorCode::InvalidData, format!("{field}: {error}")).in_field(field).into()
}

/// A page of something.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Page {
    /// The `cursor` of the page before; absent for the first.
    pub(super) cursor: Option<String>,
    /// Most items of the page: 100 if absent, and never more than 1,000.
    #[schemars(with = "Option<u32>", extend("default" = LIMIT))]
    pub(super) limit: Option<u32>,
}

impl Page {
    /// How many items the page holds at most.
    pub(super) fn limit(&self) -> usize {
        self.limit.map_or(LIMIT, |limit| limit as usize).clamp(1, LIMIT_MAX)
    }
}

/// What can stand in a path. Text that can't be such a name names nothing: 404.
pub(super) trait Name: JsonSchema + Sized {
    /// What is not there, for people.
    const MISSING: &'static str;

    /// The name, if it can be one.
    fn read(text: &str) -> Option<Self>;
}

macro_rules! name {
    ($type:ident, $missing:literal) => {
        impl Name for $type {
            const MISSING: &'static str = $missing;

            fn read(text: &str) -> Option<Self> {
                Self::try_new(text).ok()
            }
        }
    };
}

name!(NodeId, "there is no such node");
name!(ConnectionId, "there is no such connection");
name!(PassengerId, "there is no such passenger");
name!(VehicleId, "there is no such vehicle");
name!(OrderId, "there is no such order");

/// The name in the path, which is looked at after the body: a bad body is told first.
#[derive(Debug)]
pub(super) struct Named<T>(Option<T>);

impl<T: Name> Named<T> {
    /// The name, or that there is nothing of that name.
    pub(super) fn get(self) -> Result<T, Problem> {
        self.0.ok_or_else(|| Problem::of(ErrorCode::NotFound, T::MISSING))
    }
}

impl<T: Name> FromRequestParts<Arc<Node>> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Node>) -> Result<Self, Problem> {
        Ok(Self(path_texts(parts).await.first().and_then(|text| T::read(text))))
    }
}

impl<T: Name> Input for Named<T> {
    fn describe(draft: &mut Draft<'_>) {
        draft.path_parameter::<T>();
        draft.refuses(404, "There is nothing of that name in this tenant.");
    }
}

/// The variable parts of the path; none if one of them is no text.
pub(super) async fn path_texts(parts: &mut Parts) -> Vec<String> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    params.map(|params| params.iter().map(|(_, text)| text.to_owned()).collect()).unwrap_or_default()
}

/// A topic in the path.
#[derive(Debug)]
pub(super) struct TopicPath(pub(super) Topic);

impl FromRequestParts<Arc<Node>> for TopicPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Node>) -> Result<Self, Problem> {
        let topic = Topic::try_new(path_texts(parts).await.first().map_or("", String::as_str));
        topic.map(Self).map_err(|error| Problem::of(ErrorCode::InvalidTarget, error.to_string()))
    }
}

impl Input for TopicPath {
    fn describe(draft: &mut Draft<'_>) {
        draft.path_parameter::<Topic>();
        draft.refuses(422, UNPROCESSABLE);
    }
}

/// The body: JSON that is to be a `B`.
#[derive(Debug)]
pub(super) struct Body<B, const REQUIRED: bool = true> {
    text: String,
    /// Bytes of all bodies that it counts as.
    _room: Option<OwnedSemaphorePermit>,
    shape: PhantomData<B>,
}

impl<B, const REQUIRED: bool> FromRequest<Arc<Node>> for Body<B, REQUIRED> {
    type Rejection = Problem;

    async fn from_request(request: Request, node: &Arc<Node>) -> Result<Self, Problem> {
        let Arrived { bytes, room } = bodies::read(node, request.into_body()).await?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Problem::of(ErrorCode::InvalidJson, "the body is not UTF-8"))?;
        Ok(Self { text, _room: room, shape: PhantomData })
    }
}

impl<B: JsonSchema, const REQUIRED: bool> Input for Body<B, REQUIRED> {
    fn describe(draft: &mut Draft<'_>) {
        draft.body::<B>(REQUIRED);
        draft.refuses(400, "The body is not JSON.");
        draft.refuses(413, "The body is too large.");
        draft.refuses(408, "The body did not arrive in time.");
        draft.refuses(422, UNPROCESSABLE);
    }
}

impl<B: DeserializeOwned, const REQUIRED: bool> Body<B, REQUIRED> {
    /// The body as one object. One that need not be there counts as `{}` if it isn't.
    pub(super) fn read(&self) -> Result<B, Problem> {
        let text = if !REQUIRED && self.text.trim().is_empty() { "{}" } else { &self.text };
        Ok(parse_body(json(text)?)?)
    }
}

impl<B> Body<OneOrMany<B>> {
    /// The elements of a list, or the one object; and whether it is a list. A list of more than `elements_max` is
    /// too large.
    pub(super) fn elements(&self, elements_max: usize) -> Result<(Vec<&RawValue>, bool), Problem> {
        let body = json(&self.text)?;
        if !body.get().starts_with('[') {
            return Ok((vec![body], false));
        }
        let elements: Vec<&RawValue> = serde_json::from_str(body.get()).map_err(|error| not_json(&error))?;
        if elements.len() > elements_max {
            let text = format!("a list holds at most {elements_max} elements");
            return Err(Problem::of(ErrorCode::TooLarge, text));
        }
        Ok((elements, true))
    }
}

fn json(text: &str) -> Result<&RawValue, Problem> {
    serde_json::from_str(text).map_err(|error| not_json(&error))
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::of(ErrorCode::InvalidJson, format!("the body is not JSON: {error}"))
}

/// A `T`, or a list of them.
#[derive(Debug)]
pub(super) struct OneOrMany<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"oneOf": [one, {"type": "array", "items": one}]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_query_names_its_field() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only what can't be read is looked at")]
        struct Fields {
            lat: f64,
            limit: Option<u32>,
        }
        for (query, field) in [
            ("", "lat"),
            ("lat=", "lat"),
            ("lat=x", "lat"),
            ("lat=1&lat=2", "lat"),
            ("lat=1&limit=-1", "limit"),
            ("lat=1&limit=1.5", "limit"),
        ] {
            let uri = format!("/x?{query}").parse().unwrap();
            let rejection = Query::<Fields>::try_from_uri(&uri).unwrap_err();
            let problem = serde_json::to_value(bad_query(&rejection.body_text())).unwrap();
            assert_eq!(problem["details"]["field"], field, "{query}: {problem}");
        }
    }
}
