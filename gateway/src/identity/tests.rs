//! Queries in, identities or refusals out.

use proptest::prelude::*;

use super::*;

fn identify_here(query: &str) -> Result<Identity, Refused> {
    identify(query, "made-up", &Policy { anonymous: true, vocabulary: &Vocabulary::default() })
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
        assert_eq!(refused.close_code(), None, "refused before the upgrade");
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
    let policy = Policy { anonymous: false, vocabulary: &Vocabulary::default() };
    let refused = identify("agent_type=service&agent_id=root", "made-up", &policy).unwrap_err();
    assert_eq!(refused, Refused::Unauthenticated);
    assert_eq!(refused.close_code(), Some(CloseCode::Unauthenticated));
    let malformed = identify("tenant=a&tenant=b", "made-up", &policy).unwrap_err();
    assert_eq!(malformed.close_code(), None, "a broken query is 400 whoever asks");
}

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
