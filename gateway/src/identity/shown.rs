//! The token that a request shows: found, not yet believed. Every other reader of requests leaves these places alone, so
//! that nothing of a token gets into a log or an answer.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};

use super::Refused;
use super::query::decode;

/// What precedes the token among the subprotocols that a browser offers.
const SUBPROTOCOL: &str = "bearer.";
/// The field of a URL that holds one (RFC 6750, 2.3).
const FIELD: &str = "access_token";

/// The token of a request: from `Authorization`, from the subprotocols, or, if that is allowed, from the query, which is
/// undecoded. Other schemes than `Bearer` are none of ours.
///
/// # Errors
/// [`Refused::SeveralTokens`], [`Refused::TokenInUrl`].
pub fn shown<'r>(
    headers: &'r HeaderMap,
    query: &'r str,
    is_url_taken: bool,
) -> Result<Option<Cow<'r, str>>, Refused> {
    let mut in_url = of_query(query).peekable();
    if in_url.peek().is_some() && !is_url_taken {
        return Err(Refused::TokenInUrl);
    }
    let in_headers = of_authorization(headers).chain(of_subprotocols(headers)).map(Cow::Borrowed);
    let mut all = in_headers.chain(in_url);
    let first = all.next();
    if all.next().is_some() { Err(Refused::SeveralTokens) } else { Ok(first) }
}

/// A header that is no text holds no token either: an empty one, which nobody believes.
fn texts(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or_default())
}

fn of_authorization(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    texts(headers, header::AUTHORIZATION).filter_map(|text| {
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    })
}

fn of_subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let offered = texts(headers, header::SEC_WEBSOCKET_PROTOCOL).flat_map(|text| text.split(','));
    offered.filter_map(|name| name.trim().strip_prefix(SUBPROTOCOL))
}

fn of_query(query: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let ours = pairs.filter(|(name, _)| decode(name).is_some_and(|name| name == FIELD));
    ours.map(|(_, value)| decode(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_in(headers: &[(&str, &str)], query: &str) -> Result<Option<String>, Refused> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        shown(&map, query, true).map(|token| token.map(Cow::into_owned))
    }

    #[test]
    fn a_token_is_found_wherever_it_may_stand() {
        let (bearer, offered) = ("authorization", "sec-websocket-protocol");
        for (headers, query, found) in [
            (&[][..], "", None),
            (&[(bearer, "Bearer a.b.c")], "", Some("a.b.c")),
            (&[(bearer, "bearer   a.b.c ")], "tenant=x", Some("a.b.c")),
            (&[(bearer, "Bearer")], "", Some("")),
            (&[(bearer, "Bearer a b")], "", Some("a b")),
            (&[(bearer, "Basic dXNlcjpwYXNz")], "", None),
            (&[(offered, "signalbox.v1.json, bearer.a.b.c")], "", Some("a.b.c")),
            (&[(offered, "signalbox.v1.json"), (offered, "bearer.a.b.c")], "", Some("a.b.c")),
            (&[(offered, "signalbox.v1.json, Bearer.a")], "", None),
            (&[], "agent_id=1&access_token=a.b.c", Some("a.b.c")),
            (&[], "access%5Ftoken=a%2Eb.c", Some("a.b.c")),
            (&[], "access_token=%zz", Some("")),
            (&[], "access_token", Some("")),
            (&[], "token=a.b.c", None),
        ] {
            assert_eq!(shown_in(headers, query), Ok(found.map(str::to_owned)), "{headers:?} {query}");
        }
    }

    #[test]
    fn which_of_two_tokens_counts_is_nobody_s_guess() {
        let (bearer, offered) = ("authorization", "sec-websocket-protocol");
        for (headers, query) in [
            (&[(bearer, "Bearer a"), (bearer, "Bearer a")][..], ""),
            (&[(bearer, "Bearer a"), (offered, "bearer.a")], ""),
            (&[(offered, "bearer.a, bearer.b")], ""),
            (&[(bearer, "Bearer a")], "access_token=a"),
            (&[], "access_token=a&access_token=a"),
        ] {
            assert_eq!(shown_in(headers, query), Err(Refused::SeveralTokens), "{headers:?} {query}");
        }
    }

    #[test]
    fn a_token_in_the_address_is_refused_unless_it_is_allowed() {
        let bearer = HeaderMap::from_iter([(header::AUTHORIZATION, "Bearer a".parse().unwrap())]);
        for headers in [&HeaderMap::new(), &bearer] {
            assert_eq!(shown(headers, "access_token=a", false), Err(Refused::TokenInUrl));
        }
    }
}
