//! The records of a collection: what may be in one, and finding, writing and removing them.

use serde_json::{Map, Value, json};

use super::Refused;
use super::query::Query;

/// The attributes and their types, as in a content type's `schema.json`.
const ATTRIBUTES: [(&str, Kind); 17] = [
    ("passenger_id", Kind::Text),
    ("route_id", Kind::Text),
    ("depot_id", Kind::Text),
    ("direction", Kind::Text),
    ("latitude", Kind::Number),
    ("longitude", Kind::Number),
    ("destination_lat", Kind::Number),
    ("destination_lon", Kind::Number),
    ("status", Kind::Status),
    ("priority", Kind::Number),
    ("max_walking_distance", Kind::Number),
    ("spawned_at", Kind::Text),
    ("boarded_at", Kind::Text),
    ("alighted_at", Kind::Text),
    ("expires_at", Kind::Text),
    ("vehicle_id", Kind::Text),
    ("note", Kind::Text),
];
const REQUIRED: [&str; 3] = ["passenger_id", "latitude", "longitude"];
const STATUSES: [&str; 5] = ["WAITING", "BOARDED", "ALIGHTED", "CANCELLED", "EXPIRED"];
/// What every record has besides.
const OWN: [&str; 5] = ["id", "documentId", "createdAt", "updatedAt", "publishedAt"];
/// The moment that all records were made at: nobody here looks at it.
const MADE_AT: &str = "2026-01-01T00:00:00.000Z";

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Number,
    Status,
}

/// Whether records have this field.
pub(super) fn is_field(name: &str) -> bool {
    OWN.contains(&name) || ATTRIBUTES.iter().any(|(attribute, _)| *attribute == name)
}

#[derive(Debug, Default)]
pub(super) struct Collection {
    records: Vec<Value>,
    ever: u64,
}

impl Collection {
    pub(super) fn all(&self) -> Vec<Value> {
        self.records.clone()
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Value) -> bool) {
        self.records.retain(keep);
    }

    pub(super) fn list(&self, query: &Query) -> Value {
        let mut found: Vec<&Value> = self.records.iter().filter(|record| query.matches(record)).collect();
        found.sort_by(|a, b| query.compare(a, b));
        let (page, page_size, total) = (query.page, query.page_size, found.len());
        let data: Vec<_> = found.into_iter().skip((page - 1) * page_size).take(page_size).collect();
        let pages = total.div_ceil(page_size);
        let pagination = json!({"page": page, "pageSize": page_size, "pageCount": pages, "total": total});
        json!({"data": data, "meta": {"pagination": pagination}})
    }

    pub(super) fn get(&mut self, document: &str) -> Result<Value, Refused> {
        self.find(document).cloned()
    }

    pub(super) fn create(&mut self, data: &Value) -> Result<Value, Refused> {
        let data = checked(data)?;
        if let Some(missing) = REQUIRED.iter().find(|name| data.get(**name).is_none_or(Value::is_null)) {
            return Err(Refused::of_attribute(missing, &format!("{missing} must be defined.")));
        }
        if self.records.iter().any(|record| record["passenger_id"] == data["passenger_id"]) {
            return Err(Refused::of_attribute("passenger_id", "This attribute must be unique"));
        }
        self.ever += 1;
        let mut record = Map::new();
        record.insert("id".to_owned(), json!(self.ever));
        record.insert("documentId".to_owned(), json!(format!("{:0>24}", format!("doc{}", self.ever))));
        for (name, _) in ATTRIBUTES {
            record.insert(name.to_owned(), data.get(name).cloned().unwrap_or(Value::Null));
        }
        for name in ["createdAt", "updatedAt", "publishedAt"] {
            record.insert(name.to_owned(), json!(MADE_AT));
        }
        self.records.push(Value::Object(record));
        Ok(self.records[self.records.len() - 1].clone())
    }

    pub(super) fn update(&mut self, document: &str, data: &Value) -> Result<Value, Refused> {
        let data = checked(data)?;
        let record = self.find(document)?;
        for (name, value) in data {
            record[name] = value;
        }
        Ok(record.clone())
    }

    pub(super) fn delete(&mut self, document: &str) -> Result<(), Refused> {
        self.find(document)?;
        self.retain(|record| record["documentId"] != document);
        Ok(())
    }

    fn find(&mut self, document: &str) -> Result<&mut Value, Refused> {
        let found = self.records.iter_mut().find(|record| record["documentId"] == document);
        found.ok_or_else(|| Refused::new(404, "NotFoundError", "Not Found"))
    }
}

/// What is in `data` if it may be.
fn checked(data: &Value) -> Result<Map<String, Value>, Refused> {
    let Value::Object(data) = data else {
        return Err(Refused::new(400, "ValidationError", "Missing \"data\" payload in the request body"));
    };
    for (name, value) in data {
        let Some((_, kind)) = ATTRIBUTES.iter().find(|(attribute, _)| attribute == name) else {
            return Err(Refused::new(400, "ValidationError", format!("Invalid key {name}")));
        };
        if !value.is_null() && !kind.takes(value) {
            return Err(Refused::of_attribute(name, &format!("{name} has an impossible value")));
        }
    }
    Ok(data.clone())
}

impl Kind {
    fn takes(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_number(),
            Self::Status => value.as_str().is_some_and(|status| STATUSES.contains(&status)),
        }
    }
}
