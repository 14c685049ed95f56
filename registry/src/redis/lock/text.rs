//! Locks as Redis holds them: `ends|last fence|line|token|fence|ttl ms|owner|claim`, as `lock_line.lua` tells.
//! Only the last part may hold a `|`.

use signalbox_protocol::{Agent, RequestId, Topic};

use crate::Error;

/// How many characters wide the end is.
pub(super) const ENDS_CHARS: usize = 13;

/// A lock as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) token: String,
    pub(super) fence: u64,
    pub(super) owner: Agent,
}

impl Stored {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = text.splitn(8, '|').skip(3);
        let mut read = || {
            let (token, fence) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
            let owner = Agent::from_topic(Topic::try_new(parts.nth(1)?).ok()?);
            Some(Self { token, fence, owner })
        };
        read().ok_or(Error::Unreadable { what: "lock" })
    }
}

/// What tells one request of one subject from all others; empty for a request without an id.
pub(in crate::redis) fn claim(subject: &str, request_id: Option<&RequestId>) -> String {
    match request_id {
        Some(request_id) => format!("{}:{subject}{}", subject.len(), request_id.as_str()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_reads_back_whatever_its_claim_holds() {
        let owner = Agent::of("vehicle", "V~1@2+3.x").unwrap();
        for claim in ["", "2:me1", "9:a|b|c|d|e|\n\u{0}é"] {
            let stored = Stored::parse(&format!(
                "1790000005000|1790000000000009|-|abc|1790000000000001|5000|{owner}|{claim}"
            ))
            .unwrap();
            let expected = Stored { token: "abc".into(), fence: 1_790_000_000_000_001, owner: owner.clone() };
            assert_eq!(stored, expected);
        }
        for bad in ["", "abc", "9|1|-|abc|x|5|vehicle:V1|", "9|1|-|abc|1|5", "9|1|-|abc|1|5|V1|", "0|1|-|"] {
            assert!(Stored::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_two_requests_have_one_claim() {
        let asks = [("a", "bc"), ("ab", "c"), ("1:a", "b"), ("", "1:ab"), ("abc", " ")];
        let mut claims: Vec<_> =
            asks.iter().map(|(subject, id)| claim(subject, Some(&RequestId::try_new(id).unwrap()))).collect();
        assert_eq!(claim("a", None), "");
        claims.sort();
        claims.dedup();
        assert_eq!(claims.len(), asks.len());
        assert!(claims.iter().all(|claim| !claim.is_empty()));
    }
}
