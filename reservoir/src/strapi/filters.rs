//! The query of a list in Strapi's bracket notation.

use std::fmt::{Display, Write};

/// A query that is being put together.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters {
    query: String,
}

impl Filters {
    /// `filters[attribute][operator]=value`; all of them have to hold.
    #[must_use]
    pub(super) fn and(self, attribute: &str, operator: &str, value: impl Display) -> Self {
        self.pair(&format!("filters[{attribute}][{operator}]"), &value.to_string())
    }

    /// The attribute is one of these. Strapi reads 100 of a list; give fewer.
    #[must_use]
    pub(super) fn one_of<T: Display>(self, attribute: &str, values: impl IntoIterator<Item = T>) -> Self {
        self.list(attribute, "$in", values)
    }

    /// The attribute is none of these. Strapi reads 100 of a list; give fewer.
    #[must_use]
    pub(super) fn none_of<T: Display>(self, attribute: &str, values: impl IntoIterator<Item = T>) -> Self {
        self.list(attribute, "$notIn", values)
    }

    fn list<T: Display>(
        mut self,
        attribute: &str,
        operator: &str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        for (index, value) in values.into_iter().enumerate() {
            self = self.pair(&format!("filters[{attribute}][{operator}][{index}]"), &value.to_string());
        }
        self
    }

    /// One of two conditions on one attribute has to hold.
    #[must_use]
    pub(super) fn either(mut self, attribute: &str, conditions: [(&str, f64); 2]) -> Self {
        for (index, (operator, value)) in conditions.into_iter().enumerate() {
            self = self.pair(&format!("filters[$or][{index}][{attribute}][{operator}]"), &value.to_string());
        }
        self
    }

    /// Sorted by an attribute, the first so many.
    #[must_use]
    pub(super) fn first(self, count: usize, attribute: &str) -> Self {
        self.pair("sort", &format!("{attribute}:asc"))
            .pair("pagination[page]", "1")
            .pair("pagination[pageSize]", &count.to_string())
    }

    fn pair(mut self, key: &str, value: &str) -> Self {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        encode(&mut self.query, key);
        self.query.push('=');
        encode(&mut self.query, value);
        self
    }

    pub(super) fn as_str(&self) -> &str {
        &self.query
    }
}

/// Appends `text` percent-encoded. Brackets and `$` may stand as they are in a query, but not in every
/// proxy's opinion.
pub(super) fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => write!(out, "%{other:02X}").expect("a string takes everything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_in_brackets_and_encoded() {
        let query = Filters::default().and("passenger_id", "$eq", "a+b@c").one_of("status", ["WAITING"]);
        assert_eq!(
            query.first(1, "passenger_id").as_str(),
            "filters%5Bpassenger_id%5D%5B%24eq%5D=a%2Bb%40c&filters%5Bstatus%5D%5B%24in%5D%5B0%5D=WAITING\
             &sort=passenger_id%3Aasc&pagination%5Bpage%5D=1&pagination%5BpageSize%5D=1"
        );
    }
}
