//! The fields of a handshake's query, split and decoded as forms write them
//! (`application/x-www-form-urlencoded`: `+` is a space, `%2B` a plus).
//!
//! Fields that are not ours are passed over undecoded: they may hold anything.

use std::borrow::Cow;

use super::IdentityError;

/// Our fields, decoded; absent and empty differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'q> {
    pub(super) tenant: Option<Cow<'q, str>>,
    pub(super) agent_type: Option<Cow<'q, str>>,
    pub(super) agent_id: Option<Cow<'q, str>>,
    pub(super) subject: Option<Cow<'q, str>>,
    pub(super) pillar: Option<Cow<'q, str>>,
    pub(super) session_id: Option<Cow<'q, str>>,
    pub(super) resume: Option<Cow<'q, str>>,
}

impl<'q> Fields<'q> {
    /// All of them.
    pub(super) fn parse(query: &'q str) -> Result<Self, IdentityError> {
        Self::parse_those(query, |_| true)
    }

    /// Those that a token does not tell. The others may hold anything.
    pub(super) fn beside_token(query: &'q str) -> Result<Self, IdentityError> {
        Self::parse_those(query, |name| matches!(name, "session_id" | "resume"))
    }

    /// The agent type alone, if it is told in good order.
    pub(super) fn agent_type_of(query: &'q str) -> Option<Cow<'q, str>> {
        Self::parse_those(query, |name| name == "agent_type").ok()?.agent_type
    }

    fn parse_those(query: &'q str, counts: impl Fn(&str) -> bool) -> Result<Self, IdentityError> {
        let mut fields = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).filter(|name| counts(name));
            let Some((field, slot)) = name.and_then(|name| fields.slot(&name)) else { continue };
            if slot.is_some() {
                return Err(IdentityError::Repeated { field });
            }
            *slot = Some(decode(value).ok_or(IdentityError::Encoding { field })?);
        }
        Ok(fields)
    }

    fn slot(&mut self, name: &str) -> Option<(&'static str, &mut Option<Cow<'q, str>>)> {
        Some(match name {
            "tenant" => ("tenant", &mut self.tenant),
            "agent_type" => ("agent_type", &mut self.agent_type),
            "agent_id" => ("agent_id", &mut self.agent_id),
            "subject" => ("subject", &mut self.subject),
            "pillar" => ("pillar", &mut self.pillar),
            "session_id" => ("session_id", &mut self.session_id),
            "resume" => ("resume", &mut self.resume),
            _ => return None,
        })
    }
}

/// `None` for a `%` without two hexadecimal digits, and for bytes that are not UTF-8.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' => b' ',
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_once() {
        for (encoded, decoded) in [
            ("", Some("")),
            ("plain", Some("plain")),
            ("a%2Bb", Some("a+b")),
            ("a%2bb", Some("a+b")),
            ("a+b", Some("a b")),
            ("%2541", Some("%41")),
            ("%C3%BC", Some("ü")),
            ("ü%41", Some("üA")),
            ("%", None),
            ("%4", None),
            ("%4g", None),
            ("%+1", None),
            ("%C3", None),
            ("%C3%28", None),
            ("%00", Some("\0")),
        ] {
            assert_eq!(decode(encoded).as_deref(), decoded, "{encoded:?}");
        }
    }

    #[test]
    fn beside_a_token_only_the_session_is_asked_for() {
        let fields = Fields::beside_token("tenant=a&tenant=%zz&session_id=S&resume=1&pillar=x").unwrap();
        let expected = Fields { session_id: Some("S".into()), resume: Some("1".into()), ..Fields::default() };
        assert_eq!(fields, expected);
        assert!(Fields::beside_token("session_id=S&session_id=S").is_err());
    }

    #[test]
    fn names_are_decoded_before_they_are_compared() {
        let fields = Fields::parse("agent%5Fid=V1&&unknown=%zz&%zz=1&=x&pillar").unwrap();
        let expected = Fields { agent_id: Some("V1".into()), pillar: Some("".into()), ..Fields::default() };
        assert_eq!(fields, expected);
        let repeated = Fields::parse("agent_id=V1&agent%5Fid=V1");
        assert_eq!(repeated, Err(IdentityError::Repeated { field: "agent_id" }));
    }
}
