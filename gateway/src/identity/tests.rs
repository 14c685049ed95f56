//! Queries in, identities or refusals out.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::json;
use signalbox_identity::{Rejected, Verb};
use signalbox_protocol::close::CloseCode;

use super::*;
use crate::testing::Issuer;

fn identify_here(query: &str) -> Result<Identity, Refused> {
    identify_with(None, query, true)
}

/// With this token in the header, on a node that believes tokens of [`Issuer`].
fn identify_with(token: Option<&str>, query: &str, anonymous: bool) -> Result<Identity, Refused> {
    let (vocabulary, trust) = (Vocabulary::default(), Trust::of_verifier(Issuer::default().verifier()));
    let policy = Policy { anonymous, vocabulary: &vocabulary, trust: &trust };
    let bearer = |token| (AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    let headers = HeaderMap::from_iter(token.map(bearer));
    identify(shown(&headers, query, false)?.as_deref(), query, "made-up", &policy)
}

fn refusal(query: &str) -> String {
    identify_here(query).expect_err(query).to_string()
}

#[test]
fn a_bare_handshake_is_a_guest_with_a_made_up_id() {
    let identity = identify_here("").unwrap();
    assert_eq!(
        identity,
        Identity {
            tenant: Tenant::try_new("default").unwrap(),
            agent: Agent::of("guest", "made-up").unwrap(),
            subject: "guest:made-up".to_owned(),
            pillar: None,
            session: None,
            resume: false,
            grant: None,
        }
    );
}

#[test]
fn the_query_tells_everything_else() {
    let identity = identify_here(
        "tenant=acme&agent_type=vehicle&agent_id=V%2B17&subject=user%3A9&pillar=airport&session_id=S~1&resume=1&x=y",
    )
    .unwrap();
    assert_eq!(
        identity,
        Identity {
            tenant: Tenant::try_new("acme").unwrap(),
            agent: Agent::of("vehicle", "V+17").unwrap(),
            subject: "user:9".to_owned(),
            pillar: Some("airport".to_owned()),
            session: Some(SessionId::try_new("S~1").unwrap()),
            resume: true,
            grant: None,
        }
    );
    assert!(!identify_here("resume=0").unwrap().resume);
}

#[test]
fn the_subject_is_the_agent_unless_told() {
    assert_eq!(identify_here("agent_type=driver&agent_id=7").unwrap().subject, "driver:7");
}

#[test]
fn each_bad_field_is_named() {
    let long_subject = format!("subject={}", "s".repeat(257));
    let long_session = format!("session_id={}", "s".repeat(129));
    let long_tenant = format!("tenant={}", "t".repeat(65));
    for (query, field) in [
        ("tenant=", "tenant"),
        ("tenant=a:b", "tenant"),
        (&long_tenant, "tenant"),
        ("agent_type=tram", "agent_type"),
        ("agent_type=", "agent_type"),
        ("agent_type=session", "agent_type"),
        ("agent_id=", "agent_id"),
        ("agent_id=a%20b", "agent_id"),
        ("agent_id=a+b", "agent_id"),
        ("agent_id=a%00", "agent_id"),
        ("agent_id=%C3%BC", "agent_id"),
        ("agent_id=%zz", "agent_id"),
        ("agent_id=%FF", "agent_id"),
        ("agent_id=%7Bx%7D", "agent_id"),
        ("agent_id=a&agent_id=a", "agent_id"),
        ("subject=", "subject"),
        ("subject=a%20b", "subject"),
        ("subject=a%0Ab", "subject"),
        ("subject=%C3%BC", "subject"),
        (&long_subject, "subject"),
        ("pillar=a%2Fb", "pillar"),
        ("pillar", "pillar"),
        ("session_id=a:b", "session_id"),
        (&long_session, "session_id"),
        ("resume=yes", "resume"),
        ("resume=", "resume"),
    ] {
        let refused = identify_here(query).expect_err(query);
        assert!(refused.to_string().starts_with(&format!("query field {field}:")), "{query}: {refused}");
        assert!(matches!(refused, Refused::BadQuery(_)), "refused before the upgrade");
    }
    assert!(refusal("agent_type=tram").contains("vehicle, passenger"), "{}", refusal("agent_type=tram"));
    assert!(identify_here(&long_subject[..long_subject.len() - 1]).is_ok());
}

#[test]
fn other_fields_may_be_anything() {
    for query in ["x", "&", "=", "a=1&a=2", "%zz=%zz", "token=a.b.c", "utm_source=%FF"] {
        assert_eq!(identify_here(query), identify_here(""), "{query}");
    }
}

#[test]
fn without_anonymous_identities_the_query_is_not_believed() {
    let refused = identify_with(None, "agent_type=service&agent_id=root", false).unwrap_err();
    assert_eq!((refused.close_code(), refused), (CloseCode::Unauthenticated, Refused::NoToken));
    let malformed = identify_with(None, "tenant=a&tenant=b", false).unwrap_err();
    assert!(matches!(malformed, Refused::BadQuery(_)), "a broken query is 400 whoever asks");
}

#[test]
fn a_token_decides_and_of_the_query_only_the_session_counts() {
    let token = Issuer::default().token(
        json!({"tenant": "acme", "sub": "fleet-7", "agent_type": "vehicle", "agent_id": "V1", "pillar": "north",
        "namespaces": ["vehicle-events"], "capabilities": ["lock:bay"]}),
    );
    let query =
        "tenant=other&tenant=%zz&agent_type=tram&agent_id=V2&subject=x&pillar=y&session_id=S&resume=1";
    for anonymous in [true, false] {
        let identity = identify_with(Some(&token), query, anonymous).unwrap();
        let told = (identity.tenant.as_str(), identity.agent.as_str(), &*identity.subject);
        assert_eq!(told, ("acme", "vehicle:V1", "fleet-7"));
        assert_eq!(identity.pillar.as_deref(), Some("north"));
        assert_eq!((identity.session, identity.resume), (Some(SessionId::try_new("S").unwrap()), true));
        let grant = identity.grant.unwrap();
        assert!(grant.capabilities.allow(Verb::Lock, "bay") && !grant.capabilities.allow_some(Verb::Publish));
        assert_eq!(grant.namespaces.as_deref(), Some(&["vehicle-events".to_owned()][..]));
    }
}

#[test]
fn a_bad_token_is_never_nobody() {
    let issuer = Issuer::default();
    let of = |agent_type: &str, agent_id: &str| {
        issuer.token(json!({"tenant": "acme", "agent_type": agent_type, "agent_id": agent_id}))
    };
    for (token, refused, code) in [
        ("".to_owned(), Refused::Token(Rejected::Malformed), 4401),
        ("a.b.c".to_owned(), Refused::Token(Rejected::Malformed), 4401),
        (
            of("vehicle", "V 1"),
            Refused::Token(Rejected::Claim { claim: "agent_id", allowed: AGENT_ID }),
            4401,
        ),
        (of("tram", "1"), Refused::AgentType, 4403),
        (of("service", "api"), Refused::Reserved, 4403),
        (of("service", "signalbox"), Refused::Reserved, 4403),
    ] {
        let found = identify_with(Some(&token), "", true).unwrap_err();
        assert_eq!((found.close_code().as_u16(), found), (code, refused), "{token}");
    }
}

const AGENT_ID: &str = "1 to 128 of A-Z a-z 0-9 . _ ~ @ + -";

proptest! {
    #[test]
    fn no_query_panics_and_every_identity_is_sound(query in r"((tenant|agent_type|agent_id|subject|pillar|session_id|resume|[a-z%]{0,4})=?([ -~]{0,12}|%[0-9a-fA-F]{2}|vehicle|\PC{0,4})&?){0,6}") {
        if let Ok(identity) = identify_here(&query) {
            prop_assert!(Vocabulary::default().is_agent_type(identity.agent.agent_type()));
            prop_assert!(is_subject(&identity.subject));
            prop_assert!(identity.pillar.is_none_or(|pillar| is_topic_id(&pillar)));
        }
    }

    #[test]
    fn any_text_is_answered(query in any::<String>()) {
        drop(identify_here(&query));
    }

    #[test]
    fn whatever_an_id_may_hold_comes_through_encoded(id in "[A-Za-z0-9._~@+-]{1,128}") {
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let identity = identify_here(&format!("agent_id={encoded}&session_id={encoded}")).unwrap();
        prop_assert_eq!(identity.agent.agent_id(), id.as_str());
        let session = identity.session.unwrap();
        prop_assert_eq!(session.as_str(), id.as_str());
    }
}
