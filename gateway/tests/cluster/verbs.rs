//! Everything that can be asked of a node, taken from its own description of the HTTP API and from the catalogue, so
//! that what is new is asked for as well. What a sample is made of: the types of the description, whose names stand
//! for something that is or is not there, and the examples of the reference.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Map, Value, json};
use signalbox_protocol::catalogue::{self, Kind};

use crate::api::{Answer, Api};

/// Names of things, by the type that the description of the API gives them. Of several the first is the usual one.
pub(crate) type Names = BTreeMap<&'static str, Vec<String>>;

/// Parameters and fields that are names of something, but have no type that says so.
const BY_FIELD: [(&str, &str); 11] = [
    ("X-Lock-Token", "LockToken"),
    ("token", "LockToken"),
    ("pillar", "Pillar"),
    ("fence", "Fence"),
    ("topic", "Topic"),
    ("resource", "Resource"),
    ("order_id", "OrderId"),
    ("passenger_id", "PassengerId"),
    ("vehicle_id", "VehicleId"),
    ("route_id", "PoolId"),
    ("depot_id", "PoolId"),
];

/// A request of the HTTP API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    body: Value,
}

impl Request {
    /// Sends it with this token.
    pub(crate) async fn send(&self, api: &mut Api, bearer: &str) -> Answer {
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<_> = own.chain([("authorization", bearer)]).collect();
        let body = if self.body.is_null() { String::new() } else { self.body.to_string() };
        api.call(&self.method, &self.path, &headers, &body).await
    }
}

/// One operation of the description.
#[derive(Debug)]
pub(crate) struct Operation {
    method: String,
    path: String,
    described: Value,
    schemas: Value,
}

/// All of them, by method and path.
pub(crate) fn operations() -> BTreeMap<String, Operation> {
    let document = signalbox_gateway::http::openapi::describe();
    let mut operations = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            let (method, schemas) = (method.to_ascii_uppercase(), document["components"]["schemas"].clone());
            let operation = Operation { path: path.clone(), described: described.clone(), schemas, method };
            operations.insert(format!("{} {path}", operation.method), operation);
        }
    }
    operations
}

impl Operation {
    /// Whether the description says that it takes a token.
    pub(crate) fn takes_token(&self) -> bool {
        self.described.get("security").is_some()
    }

    /// Requests about these names: with what is needed alone, then with each further name that it may be given.
    pub(crate) fn requests(&self, names: &Names) -> Vec<Request> {
        let further = self.further(names);
        let rounds = names.values().map(Vec::len).max().unwrap_or(1);
        let with = |more: Option<&str>| {
            let requests = (0..rounds).map(|round| self.request(names, round, more));
            requests.fold(Vec::new(), |mut all: Vec<Request>, request| {
                all.extend((!all.contains(&request)).then_some(request));
                all
            })
        };
        let more = further.iter().flat_map(|name| with(Some(name)));
        with(None).into_iter().chain(more).collect()
    }

    fn parameters(&self) -> impl Iterator<Item = (&str, &Value)> {
        let all = self.described["parameters"].as_array().unwrap().iter();
        all.map(|parameter| (parameter["name"].as_str().unwrap(), parameter))
            .filter(|(name, _)| *name != "tenant")
    }

    /// The schema of the body's fields.
    fn fields(&self) -> Map<String, Value> {
        let body = &self.described["requestBody"]["content"]["application/json"]["schema"];
        let one = body["oneOf"].get(0).unwrap_or(body);
        let resolved = reference(one).map_or(one, |name| &self.schemas[name]);
        resolved["properties"].as_object().cloned().unwrap_or_default()
    }

    fn further(&self, names: &Names) -> Vec<String> {
        let is_name =
            |name: &str, schema: &Value| kind(name, schema).is_some_and(|kind| names.contains_key(kind));
        let parameters = self.parameters().filter(|(_, parameter)| parameter["required"] == false);
        let of_query = parameters.filter(|(name, parameter)| is_name(name, &parameter["schema"]));
        let of_body = self.fields().into_iter().filter(|(name, schema)| is_name(name, schema));
        of_query.map(|(name, _)| name.to_owned()).chain(of_body.map(|(name, _)| name)).collect()
    }

    fn request(&self, names: &Names, round: usize, more: Option<&str>) -> Request {
        let (mut path, mut query, mut headers) = (self.path.clone(), Vec::new(), Vec::new());
        for (name, parameter) in self.parameters() {
            if parameter["required"] == false && more != Some(name) {
                continue;
            }
            let value = self.sample(name, &parameter["schema"], (names, round));
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &value),
                Some("query") => query.push(format!("{name}={value}")),
                _ => headers.push((name.to_owned(), value)),
            }
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let body = self.body(names, round, more);
        Request { method: self.method.clone(), path, headers, body }
    }

    /// The body's example, about these names.
    fn body(&self, names: &Names, round: usize, more: Option<&str>) -> Value {
        let content = &self.described["requestBody"]["content"]["application/json"];
        let is_required = self.described["requestBody"]["required"] == true;
        let Some(example) = content.get("example") else {
            assert!(!is_required, "{} {} needs an example of its body", self.method, self.path);
            return Value::Null;
        };
        let mut body = example.clone();
        for (name, schema) in self.fields() {
            let Some(of_kind) = kind(&name, &schema).and_then(|kind| names.get(kind)) else { continue };
            if body.get(&name).is_some() || more == Some(&name) {
                body[&name] = plain(&name, &of_kind[round % of_kind.len()]);
            }
        }
        body
    }

    fn sample(&self, name: &str, schema: &Value, (names, round): (&Names, usize)) -> String {
        if let Some(of_kind) = kind(name, schema).and_then(|kind| names.get(kind)) {
            return of_kind[round % of_kind.len()].clone();
        }
        let resolved = reference(schema).map_or(schema, |name| &self.schemas[name]);
        let of_enum = || resolved["enum"][0].as_str().or(resolved["oneOf"][0]["const"].as_str());
        match resolved["type"].as_str() {
            Some("number" | "integer") => "1".to_owned(),
            _ => of_enum().unwrap_or_else(|| panic!("{name}: what is a {schema}?")).to_owned(),
        }
    }
}

fn reference(schema: &Value) -> Option<&str> {
    let of = |schema: &Value| schema["$ref"].as_str().map(|path| path.len());
    let direct = of(schema).map(|_| schema);
    let choices = schema["anyOf"].as_array().and_then(|all| all.iter().find(|one| of(one).is_some()));
    direct.or(choices)?["$ref"].as_str()?.rsplit('/').next()
}

fn kind<'s>(name: &str, schema: &'s Value) -> Option<&'s str> {
    reference(schema).or_else(|| BY_FIELD.iter().find(|(field, _)| *field == name).map(|(_, kind)| *kind))
}

/// A name as the field holds it: a fence is a number, all else is text.
fn plain(field: &str, name: &str) -> Value {
    if field == "fence" { json!(name.parse::<u64>().unwrap()) } else { name.into() }
}

/// Examples of commands that the reference does not show.
fn not_shown(message_type: &str) -> Option<Value> {
    match message_type {
        "lock:renew" => Some(json!({"resource": "", "token": ""})),
        _ => None,
    }
}

/// The `data` of a command, as the reference shows it.
fn example(message_type: &str) -> Value {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/tests/golden");
    let shown = fs::read_dir(golden).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let mut shown = shown.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
    let found = shown.find(|shown| shown["type"] == message_type && shown["source"].is_null());
    let data = found.map(|shown| shown["data"].clone()).or_else(|| not_shown(message_type));
    data.unwrap_or_else(|| panic!("the reference shows no {message_type}"))
}

/// Fields of commands that name nothing.
const NO_NAMES: [&str; 1] = ["request_id"];

fn about(data: Value, names: &Names, round: usize) -> Value {
    let Value::Object(fields) = data else { return json!({}) };
    let pick = |kind: &str| names[kind][round % names[kind].len()].clone();
    let filled = fields.into_iter().map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("topics", _) => json!([pick("Topic")]),
            // An epoch is the data set's, and names nothing of a tenant's.
            ("positions", _) => json!({ pick("Topic"): {"epoch": "made-up", "offset": 0} }),
            (field, value) => match BY_FIELD.iter().find(|(known, _)| *known == field) {
                Some((_, kind)) => plain(field, &pick(kind)),
                None => {
                    assert!(!value.is_string() || NO_NAMES.contains(&field), "does {field} name something?");
                    value
                }
            },
        };
        (name, value)
    });
    filled.collect::<Map<_, _>>().into()
}

/// Every message that a client may send to a node: each command about these names, and each type of event, to a topic
/// of these names. Each asks for an answer.
pub(crate) fn messages(names: &Names, round: usize) -> BTreeMap<String, Value> {
    let sendable = catalogue::TABLE.iter().filter(|entry| entry.may_send("service"));
    let message = |name: String, kind: Kind| {
        let topic = &names["Topic"][round % names["Topic"].len()];
        let message = match kind {
            Kind::Command => {
                let mut data = example(&name);
                if name == "boarding:request" {
                    data["vehicle_id"] = json!("");
                }
                json!({"type": name, "data": about(data, names, round)})
            }
            _ => json!({"type": name, "target": topic, "metadata": {"ack": true}, "data": {}}),
        };
        (name, message)
    };
    let listed = sendable.map(|entry| message(entry.name.replace('*', "made_up"), entry.kind));
    listed.chain([message("made_up:hello".to_owned(), catalogue::UNLISTED.kind)]).collect()
}
