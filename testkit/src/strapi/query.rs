//! The query of a list: filters, sort and pagination in the bracket notation of Strapi's REST API.

use std::cmp::Ordering;

use serde_json::Value;

use super::Refused;
use super::collection::is_field;

/// As Strapi answers unless asked otherwise, and at most.
const PAGE_SIZES: (usize, usize) = (25, 100);

#[derive(Debug)]
pub(super) struct Query {
    conditions: Vec<Condition>,
    sort: Vec<(String, bool)>,
    pub(super) page: usize,
    pub(super) page_size: usize,
}

/// One leaf of the filters.
#[derive(Debug)]
struct Condition {
    /// Groups that are joined by `or`: (which one, which branch of it).
    branch: Option<(String, String)>,
    field: String,
    operator: String,
    values: Vec<String>,
}

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, Refused> {
        let mut parsed = Self { conditions: Vec::new(), sort: Vec::new(), page: 1, page_size: PAGE_SIZES.0 };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decode(key), decode(value));
            let mut path = key.split(['[', ']']).filter(|part| !part.is_empty());
            let rest: Vec<&str>;
            match path.next() {
                Some("filters") => {
                    rest = path.collect();
                    parsed.filter(&rest, value)?;
                }
                Some("sort") => parsed.sort_by(&value)?,
                Some("pagination") => parsed.paginate(path.next().unwrap_or_default(), &value)?,
                Some("fields") => {}
                _ => return Err(invalid_key(&key)),
            }
        }
        Ok(parsed)
    }

    fn filter(&mut self, path: &[&str], value: String) -> Result<(), Refused> {
        let (mut path, mut branch) = (path, None);
        while let [joint @ ("$and" | "$or"), index, rest @ ..] = path {
            if *joint == "$or" {
                branch = Some((String::from("$or"), (*index).to_owned()));
            }
            path = rest;
        }
        let [field, operator, ..] = path else { return Err(invalid_key(path.first().unwrap_or(&"filters"))) };
        if !is_field(field) {
            return Err(invalid_key(field));
        }
        let same = |known: &&mut Condition| {
            known.field == *field
                && known.operator == *operator
                && (*operator == "$in" || *operator == "$notIn")
                && known.branch == branch
        };
        match self.conditions.iter_mut().find(same) {
            Some(known) => known.values.push(value),
            None => self.conditions.push(Condition {
                branch,
                field: (*field).to_owned(),
                operator: (*operator).to_owned(),
                values: vec![value],
            }),
        }
        Ok(())
    }

    fn sort_by(&mut self, value: &str) -> Result<(), Refused> {
        for part in value.split(',') {
            let (field, order) = part.split_once(':').unwrap_or((part, "asc"));
            if !is_field(field) {
                return Err(invalid_key(field));
            }
            self.sort.push((field.to_owned(), order == "desc"));
        }
        Ok(())
    }

    fn paginate(&mut self, what: &str, value: &str) -> Result<(), Refused> {
        let number =
            || value.parse::<usize>().map_err(|_| Refused::new(400, "PaginationError", "Invalid pagination"));
        match what {
            "page" => self.page = number()?.max(1),
            "pageSize" => self.page_size = number()?.clamp(1, PAGE_SIZES.1),
            "withCount" => {}
            _ => return Err(invalid_key(what)),
        }
        Ok(())
    }

    pub(super) fn matches(&self, record: &Value) -> bool {
        let (joined, needed): (Vec<_>, Vec<_>) =
            self.conditions.iter().partition(|condition| condition.branch.is_some());
        let branches: std::collections::BTreeSet<_> =
            joined.iter().map(|condition| &condition.branch).collect();
        let of = |branch: &Option<(String, String)>| {
            joined
                .iter()
                .filter(|condition| &condition.branch == branch)
                .all(|condition| condition.holds(record))
        };
        needed.iter().all(|condition| condition.holds(record))
            && (branches.is_empty() || branches.into_iter().any(of))
    }

    pub(super) fn compare(&self, a: &Value, b: &Value) -> Ordering {
        let by = |(field, down): &(String, bool)| {
            let order = compare(&a[field], &b[field]);
            if *down { order.reverse() } else { order }
        };
        self.sort.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl Condition {
    fn holds(&self, record: &Value) -> bool {
        let found = &record[&self.field];
        if self.operator == "$null" {
            return found.is_null() == (self.values[0] == "true");
        }
        if self.operator == "$ne" {
            return !self.compares(found, 0, Ordering::is_eq);
        }
        match self.operator.as_str() {
            "$eq" => self.compares(found, 0, Ordering::is_eq),
            "$lt" => self.compares(found, 0, Ordering::is_lt),
            "$lte" => self.compares(found, 0, Ordering::is_le),
            "$gt" => self.compares(found, 0, Ordering::is_gt),
            "$gte" => self.compares(found, 0, Ordering::is_ge),
            "$notIn" => !(0..self.values.len()).any(|index| self.compares(found, index, Ordering::is_eq)),
            "$in" => (0..self.values.len()).any(|index| self.compares(found, index, Ordering::is_eq)),
            _ => false,
        }
    }

    fn compares(&self, found: &Value, index: usize, holds: fn(Ordering) -> bool) -> bool {
        let wanted = &self.values[index];
        match found {
            Value::Number(_) => {
                wanted.parse::<f64>().is_ok_and(|wanted| holds(compare(found, &wanted.into())))
            }
            Value::String(found) => holds(found.as_str().cmp(wanted)),
            _ => false,
        }
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64(), a.as_str(), b.as_str()) {
        (Some(a), Some(b), ..) => a.total_cmp(&b),
        (_, _, Some(a), Some(b)) => a.cmp(b),
        _ => a.is_null().cmp(&b.is_null()).reverse(),
    }
}

fn invalid_key(key: &str) -> Refused {
    Refused::new(400, "ValidationError", format!("Invalid key {key}"))
}

/// Undoes percent-encoding; what is none stays.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, escaped) {
            (_, Some(value)) => bytes.push(value),
            (b'+', None) => bytes.push(b' '),
            (other, None) => bytes.push(other),
        }
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
