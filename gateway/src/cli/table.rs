//! JSON objects as an aligned table.

use serde_json::{Map, Value};

const GAP: &str = "  ";

/// A header and a line for each item. The columns of `first` come first, in that order; what else the items
/// hold follows by name. An absent or null value shows as `-`.
pub(super) fn table(items: &[Map<String, Value>], first: &[&str]) -> String {
    let columns = columns(items, first);
    let header = columns.iter().map(|name| name.to_uppercase()).collect();
    let lines = items.iter().map(|item| columns.iter().map(|name| cell(item.get(*name))).collect());
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(lines).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
        text.push('\n');
    }
    text
}

fn columns<'a>(items: &'a [Map<String, Value>], first: &[&'a str]) -> Vec<&'a str> {
    let mut columns: Vec<&str> =
        first.iter().copied().filter(|name| items.iter().any(|item| item.contains_key(*name))).collect();
    for name in items.iter().flat_map(Map::keys) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    columns
}

/// What comes from the network must not steer the terminal.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) if values.is_empty() => "-".to_owned(),
        Some(Value::Array(values)) => {
            values.iter().map(|value| cell(Some(value))).collect::<Vec<_>>().join(",")
        }
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_))) => other.to_string(),
    };
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn items(value: Value) -> Vec<Map<String, Value>> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_ordered() {
        let items = items(json!([
            {"agent": "vehicle:V1", "ws_id": "n-1", "pillar": null, "namespaces": ["a", "b"]},
            {"agent": "guest:x", "ws_id": "n-20", "extra": {"k": 1}, "namespaces": []},
        ]));
        assert_eq!(
            table(&items, &["ws_id", "missing", "agent"]),
            "WS_ID  AGENT       NAMESPACES  PILLAR  EXTRA\n\
             n-1    vehicle:V1  a,b         -       -\n\
             n-20   guest:x     -           -       {\"k\":1}\n"
        );
    }

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        let items = items(json!([{"topic": "a\u{1b}[2Jb\nc"}]));
        assert_eq!(table(&items, &[]), "TOPIC\na\\u{1b}[2Jb\\nc\n");
    }
}
