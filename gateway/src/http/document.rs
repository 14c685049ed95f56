//! The description of the HTTP API, an OpenAPI 3.1 document, while it is put together.
//!
//! Nothing in it is written twice: paths and methods come from the table of routes, parameters, bodies and
//! answers from the types of the handlers, shapes from the types themselves.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::problem::Problem;

/// The name of the way in which callers show a token.
const TOKEN: &str = "token";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// The document so far.
#[derive(Debug)]
pub(super) struct Document {
    shapes: Shapes,
    tags: Vec<Value>,
    paths: BTreeMap<&'static str, Map<String, Value>>,
}

/// Where the shapes of what is asked and of what is told are collected. A field with a default may be absent in
/// the one, and is there in the other.
#[derive(Debug)]
struct Shapes {
    asked: SchemaGenerator,
    told: SchemaGenerator,
}

/// One operation, as its handler's types describe it.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    shapes: &'a mut Shapes,
    path_names: Vec<&'static str>,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    takes_token: bool,
}

impl Document {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        let shapes = Shapes {
            asked: settings.clone().for_deserialize().into_generator(),
            told: settings.for_serialize().into_generator(),
        };
        Self { shapes, tags: Vec::new(), paths: BTreeMap::new() }
    }

    /// Starts a group of operations.
    pub(super) fn tag(&mut self, name: &str, description: &str) {
        self.tags.push(json!({"name": name, "description": description}));
    }

    /// Adds an operation of the latest group.
    pub(super) fn add(
        &mut self,
        method: &'static str,
        path: &'static str,
        summary: &str,
        describe: impl FnOnce(&mut Draft<'_>),
    ) {
        let path_names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let mut draft = Draft {
            path_names: path_names.rev().collect(),
            shapes: &mut self.shapes,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            takes_token: false,
        };
        describe(&mut draft);
        assert!(draft.path_names.is_empty(), "{method} {path}: the handler leaves {:?}", draft.path_names);
        let mut operation = draft.finish();
        operation.insert("operationId".into(), operation_id(method, path).into());
        operation.insert("summary".into(), summary.into());
        operation.extend(self.tags.last().map(|tag| ("tags".into(), json!([tag["name"]]))));
        let before = self.paths.entry(path).or_default().insert(method.into(), operation.into());
        assert!(before.is_none(), "{method} {path} is there already");
    }

    /// Says more of an operation that was added.
    pub(super) fn amend(&mut self, method: &str, path: &str, change: impl FnOnce(&mut Value)) {
        let operation = self.paths.get_mut(path).and_then(|methods| methods.get_mut(method));
        change(operation.expect("only what was added is amended"));
    }

    /// The whole document.
    pub(super) fn finish(mut self) -> Value {
        let mut schemas = self.shapes.told.take_definitions(true);
        for (name, asked) in self.shapes.asked.take_definitions(true) {
            let told = schemas.entry(name.clone()).or_insert_with(|| asked.clone());
            assert_eq!(*told, asked, "{name} has one shape when asked and another when told");
        }
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Signalbox",
                "version": env!("CARGO_PKG_VERSION"),
                "description": INTRODUCTION,
                "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "tags": self.tags,
            "paths": self.paths,
            "components": {"schemas": schemas, "securitySchemes": {TOKEN: {
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "Not needed where the node takes anonymous clients.",
            }}},
        })
    }
}

const INTRODUCTION: &str = "The HTTP side of a Signalbox node. Errors are `application/problem+json` (RFC 9457); \
    branch on their `code`. What was answered with `outcome_unknown` may have been done: send the same again, with \
    the same `request_id` if it had one.";

impl Draft<'_> {
    /// The next name in braces of the path is of this type.
    pub(super) fn path_parameter<T: JsonSchema>(&mut self) {
        let name = self.path_names.pop().expect("the handler takes no more than the path has");
        let schema = self.shapes.asked.subschema_for::<T>();
        self.parameters.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
    }

    /// Each field of `T` is a parameter of the query.
    pub(super) fn query<T: JsonSchema>(&mut self) {
        let schema = T::json_schema(&mut self.shapes.asked);
        let required = schema.get("required").cloned().unwrap_or_default();
        let Some(Value::Object(fields)) = schema.get("properties").cloned() else { return };
        for (name, mut schema) in fields {
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let mut parameter = Map::new();
            let needed = required.as_array().is_some_and(|names| names.iter().any(|one| *one == name));
            parameter.insert("name".into(), name.into());
            parameter.insert("in".into(), "query".into());
            parameter.insert("required".into(), needed.into());
            parameter.extend(description.map(|text| ("description".to_owned(), text)));
            parameter.insert("schema".into(), never_null(schema));
            self.parameters.push(parameter.into());
        }
    }

    /// Callers show a token, unless the node takes anonymous ones.
    pub(super) fn takes_token(&mut self) {
        self.takes_token = true;
    }

    /// A header of the request.
    pub(super) fn header(&mut self, name: &str, description: &str) {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": true, "description": description,
            "schema": {"type": "string", "pattern": "^[!-~]+$"},
        }));
    }

    /// The body is a `T`.
    pub(super) fn body<T: JsonSchema>(&mut self, required: bool) {
        let schema = self.shapes.asked.subschema_for::<T>();
        self.body = Some(json!({"required": required, "content": {JSON: {"schema": schema}}}));
    }

    /// An answer without a body.
    pub(super) fn answers(&mut self, status: u16, description: &str) {
        self.answers.insert(status, json!({ "description": description }));
    }

    /// An answer that is text of some kind.
    pub(super) fn answers_text(&mut self, status: u16, description: &str, media_type: &str) {
        let content = json!({media_type: {"schema": {"type": "string"}}});
        self.answers.insert(status, json!({"description": description, "content": content}));
    }

    /// An answer that is a `T` as JSON.
    pub(super) fn answers_json<T: JsonSchema>(&mut self, status: u16, description: &str) {
        let schema = self.shapes.told.subschema_for::<T>();
        let content = json!({JSON: {"schema": schema}});
        self.answers.insert(status, json!({"description": description, "content": content}));
    }

    /// A header of the answer.
    pub(super) fn answer_header(&mut self, status: u16, name: &str, schema: &Value) {
        let answer = self.answers.get_mut(&status).expect("an answer is told before its headers");
        answer["headers"] = json!({name: {"schema": schema}});
    }

    /// A refusal.
    pub(super) fn refuses(&mut self, status: u16, when: &str) {
        let schema = self.shapes.told.subschema_for::<Problem>();
        self.answers.insert(status, refusal(when, &json!(schema)));
    }

    fn finish(self) -> Map<String, Value> {
        let mut operation = Map::new();
        let answers = self.answers.into_iter().map(|(status, answer)| (status.to_string(), answer));
        operation.insert("parameters".into(), self.parameters.into());
        operation.extend(self.body.map(|body| ("requestBody".to_owned(), body)));
        operation.insert("responses".into(), Value::Object(answers.collect()));
        if self.takes_token {
            operation.insert("security".into(), json!([{}, {TOKEN: []}]));
        }
        operation
    }
}

/// A refusal whose problem has this schema.
pub(super) fn refusal(when: &str, schema: &Value) -> Value {
    json!({"description": when, "content": {PROBLEM: {"schema": schema}}})
}

/// `get` and `/api/passengers/{id}` make `getApiPassengersId`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| id + &word[..1].to_ascii_uppercase() + &word[1..])
}

/// The schema of an optional field as that of a parameter: it is absent, never `null`.
fn never_null(mut schema: Value) -> Value {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|one| one != "null");
        if let [one] = types.as_slice() {
            schema["type"] = one.clone();
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|one| one["type"] != "null");
        if let [one] = choices.as_slice() {
            return one.clone();
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_named_by_what_it_is() {
        assert_eq!(operation_id("get", "/api/passengers/{id}"), "getApiPassengersId");
        assert_eq!(operation_id("get", "/api/openapi.json"), "getApiOpenapiJson");
    }

    #[test]
    fn a_parameter_is_never_null() {
        assert_eq!(never_null(json!({"type": ["string", "null"]})), json!({"type": "string"}));
        let reference = json!({"$ref": "#/x"});
        assert_eq!(never_null(json!({"anyOf": [reference, {"type": "null"}]})), reference);
    }
}
