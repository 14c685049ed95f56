//! SPDX licence expressions: does one of the choices that they offer suit us?

/// Whether `expression` can be met by licences for which `allowed` says yes.
///
/// Knows `AND`, `OR`, `WITH`, parentheses, and the old `MIT/Apache-2.0`. An exception (`WITH`) only adds
/// rights, so it is met by its licence. What is not a well-formed expression is not met.
pub(crate) fn satisfied(expression: &str, allowed: impl Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut reader = Reader { words: spaced.split_whitespace().peekable(), allowed };
    reader.any_of() == Some(true) && reader.words.next().is_none()
}

struct Reader<'a, F> {
    words: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
    allowed: F,
}

/// Each method reads one level of the grammar and answers `None` where it is broken.
impl<F: Fn(&str) -> bool> Reader<'_, F> {
    fn any_of(&mut self) -> Option<bool> {
        let mut met = self.all_of()?;
        while self.words.next_if_eq(&"OR").is_some() {
            met |= self.all_of()?;
        }
        Some(met)
    }

    fn all_of(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.words.next_if_eq(&"AND").is_some() {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        match self.words.next()? {
            "(" => {
                let met = self.any_of()?;
                self.words.next_if_eq(&")").map(|_| met)
            }
            ")" | "AND" | "OR" | "WITH" => None,
            id => {
                if self.words.next_if_eq(&"WITH").is_some() {
                    self.words.next()?;
                }
                Some((self.allowed)(id))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_met_by_one_allowed_choice() {
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0 OR MIT", true),
            ("MIT AND GPL-3.0", false),
            ("MIT/GPL-3.0", true),
            ("(MIT OR GPL-3.0) AND ISC", true),
            ("(MIT OR ISC) AND GPL-3.0", false),
            ("MIT OR ISC AND GPL-3.0", true),
            ("GPL-3.0 OR ISC AND GPL-3.0", false),
            ("Apache-2.0 WITH LLVM-exception", false),
            ("MIT WITH an-exception OR GPL-3.0", true),
            ("((MIT))", true),
        ] {
            assert_eq!(satisfied(expression, |id| matches!(id, "MIT" | "ISC")), expected, "{expression}");
        }
    }

    #[test]
    fn a_broken_expression_is_not_met() {
        for broken in ["", "OR", "MIT OR", "(MIT", "MIT)", "MIT MIT", "AND MIT", "MIT WITH", "()"] {
            assert!(!satisfied(broken, |_| true), "{broken:?}");
        }
    }
}
