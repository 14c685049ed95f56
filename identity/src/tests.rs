//! What is taken and what is not: by table, with every attack that RFC 8725 lists.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

/// A private key and the public one, made for these tests.
fn pair(algorithm: Algorithm) -> (&'static [u8], &'static [u8]) {
    match algorithm {
        Algorithm::Hs256 => (SECRET, SECRET),
        Algorithm::Rs256 => (include_bytes!("tests/rsa.pem"), include_bytes!("tests/rsa.pub.pem")),
        Algorithm::Es256 => (include_bytes!("tests/ec.pem"), include_bytes!("tests/ec.pub.pem")),
        Algorithm::EdDsa => (include_bytes!("tests/ed.pem"), include_bytes!("tests/ed.pub.pem")),
    }
}

fn signing(algorithm: Algorithm) -> SigningKey {
    SigningKey::try_new(Some(algorithm.as_str()), algorithm, pair(algorithm).0).unwrap()
}

/// Trusts a key of each kind; each is named as its algorithm.
fn verifier() -> Verifier {
    let key = |algorithm: Algorithm| Key::try_new(Some(algorithm.as_str()), algorithm, pair(algorithm).1);
    let keys = Algorithm::ALL.map(|algorithm| key(algorithm).unwrap()).to_vec();
    let expected = Expected {
        issuers: vec!["https://id".into()],
        audiences: vec!["signalbox".into()],
        leeway: 30,
        lifetime_max: Some(3_600),
    };
    Verifier { keys: Keyring::new(keys), expected }
}

fn claims() -> Map<String, Value> {
    let claims = json!({
        "tenant": "acme", "sub": "fleet-7", "agent_type": "vehicle", "agent_id": "V1", "pillar": "north",
        "iss": "https://id", "aud": "signalbox", "exp": NOW + 60, "iat": NOW - 60,
    });
    claims.as_object().unwrap().clone()
}

/// The claims with one of them replaced; `null` removes it.
fn but(claim: &str, value: Value) -> Map<String, Value> {
    let mut claims = claims();
    claims.remove(claim);
    if !value.is_null() {
        claims.insert(claim.to_owned(), value);
    }
    claims
}

fn verified(claims: &Map<String, Value>) -> Result<Claims, Rejected> {
    verifier().verify(&signing(Algorithm::Hs256).mint(claims).unwrap(), NOW)
}

/// A token of this header, signed with the secret.
fn of_header(header: &str) -> Result<Claims, Rejected> {
    let claims = Value::Object(claims()).to_string();
    verifier().verify(&signing(Algorithm::Hs256).sign(header, &claims).unwrap(), NOW)
}

fn of_claims(claims: &str) -> Result<Claims, Rejected> {
    let header = r#"{"alg":"HS256","kid":"HS256"}"#;
    verifier().verify(&signing(Algorithm::Hs256).sign(header, claims).unwrap(), NOW)
}

#[test]
fn a_token_of_each_algorithm_says_who_it_is_for() {
    for algorithm in Algorithm::ALL {
        let token = signing(algorithm).mint(&claims()).unwrap();
        let read = verifier().verify(&token, NOW).unwrap();
        assert_eq!((read.tenant.as_str(), read.agent.as_str()), ("acme", "vehicle:V1"), "{algorithm}");
        assert_eq!((read.subject.as_str(), read.pillar.as_deref()), ("fleet-7", Some("north")));
        assert_eq!((read.expires_at, read.namespaces), (NOW + 60, None));
    }
}

#[test]
fn what_is_signed_for_one_algorithm_or_by_another_key_is_not_taken() {
    for algorithm in Algorithm::ALL {
        for named in Algorithm::ALL.into_iter().filter(|named| *named != algorithm) {
            // The key of another algorithm, and the token says so.
            let header = format!(r#"{{"alg":"{algorithm}","kid":"{named}"}}"#);
            let token = signing(algorithm).sign(&header, &Value::Object(claims()).to_string()).unwrap();
            assert_eq!(verifier().verify(&token, NOW), Err(Rejected::WrongAlgorithm), "{algorithm} {named}");
            // The same, and the token lies.
            let header = format!(r#"{{"alg":"{named}","kid":"{named}"}}"#);
            let token = signing(algorithm).sign(&header, &Value::Object(claims()).to_string()).unwrap();
            assert_eq!(verifier().verify(&token, NOW), Err(Rejected::Signature), "{algorithm} as {named}");
        }
    }
}

#[test]
fn a_public_key_is_no_secret() {
    // Whoever takes the public key for a secret would take this.
    let public = pair(Algorithm::Rs256).1;
    let forger = SigningKey::try_new(Some("RS256"), Algorithm::Hs256, public).unwrap();
    assert_eq!(verifier().verify(&forger.mint(&claims()).unwrap(), NOW), Err(Rejected::WrongAlgorithm));
}

#[test]
fn a_changed_token_is_not_taken() {
    let token = signing(Algorithm::Es256).mint(&claims()).unwrap();
    let parts: Vec<_> = token.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(Value::Object(but("tenant", json!("other"))).to_string());
    let forged = [
        format!("{}.{other}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode([0; 64])),
        format!("{}.{}.{}", parts[0], parts[1], "not base64!"),
    ];
    for token in forged {
        assert_eq!(verifier().verify(&token, NOW), Err(Rejected::Signature), "{token}");
    }
}

#[test]
fn headers_that_attack() {
    let cases = [
        (r#"{"alg":"none","kid":"HS256"}"#, Rejected::Algorithm),
        (r#"{"alg":"None","kid":"HS256"}"#, Rejected::Algorithm),
        (r#"{"alg":"HS384","kid":"HS256"}"#, Rejected::Algorithm),
        (r#"{"alg":"hs256","kid":"HS256"}"#, Rejected::Algorithm),
        (r#"{"alg":1,"kid":"HS256"}"#, Rejected::Malformed),
        (r#"{"kid":"HS256"}"#, Rejected::Malformed),
        (r#"{"alg":"HS256","alg":"none","kid":"HS256"}"#, Rejected::Malformed),
        (r#"{"alg":"HS256","kid":7}"#, Rejected::Malformed),
        (r#"{"alg":"HS256"}"#, Rejected::UnknownKey),
        (r#"{"alg":"HS256","kid":"other"}"#, Rejected::UnknownKey),
        (r#"{"alg":"HS256","kid":"../../../../dev/null"}"#, Rejected::UnknownKey),
        (r#"{"alg":"HS256","kid":"HS256' OR 1=1 --"}"#, Rejected::UnknownKey),
        (r#"{"alg":"HS256","kid":""}"#, Rejected::UnknownKey),
        (r#"{"alg":"HS256","kid":"HS256","crit":["exp"]}"#, Rejected::Critical),
        (r#"["HS256"]"#, Rejected::Malformed),
        ("", Rejected::Malformed),
    ];
    for (header, rejected) in cases {
        assert_eq!(of_header(header), Err(rejected), "{header}");
    }
    // Where to find a key, and the key itself, are not for the token to say.
    let jwk = r#"{"alg":"HS256","kid":"HS256","jku":"https://evil","jwk":{"kty":"oct","k":"AA"},"x5u":"https://evil"}"#;
    assert!(of_header(jwk).is_ok());
}

#[test]
fn claims_that_attack() {
    let claim = |claim, allowed| Rejected::Claim { claim, allowed };
    let seconds = "a number of seconds since 1970";
    let list = "a list of texts, and not a long one";
    let cases = [
        ("exp", Value::Null, claim("exp", "there")),
        ("exp", json!("1900000000"), claim("exp", seconds)),
        ("exp", json!(true), claim("exp", seconds)),
        ("exp", json!(-1), claim("exp", seconds)),
        ("exp", json!(1e300), claim("exp", seconds)),
        ("exp", json!(NOW * 1_000), claim("exp", seconds)),
        ("exp", json!([NOW + 60]), claim("exp", seconds)),
        ("exp", json!(NOW - 30), Rejected::Expired),
        ("exp", json!(0), Rejected::Expired),
        ("exp", json!(NOW - 60 + 3_631), Rejected::LivesTooLong),
        ("nbf", json!(NOW + 31), Rejected::NotYetValid),
        ("nbf", json!("soon"), claim("nbf", seconds)),
        ("iat", json!(NOW + 31), Rejected::NotYetValid),
        ("iat", json!({}), claim("iat", seconds)),
        ("iss", Value::Null, Rejected::Issuer),
        ("iss", json!("https://id/"), Rejected::Issuer),
        ("iss", json!(["https://id"]), claim("iss", "text")),
        ("aud", Value::Null, Rejected::Audience),
        ("aud", json!("other"), Rejected::Audience),
        ("aud", json!([]), Rejected::Audience),
        ("aud", json!({"signalbox": 1}), claim("aud", list)),
        ("tenant", Value::Null, claim("tenant", "there")),
        ("tenant", json!("a b"), claim("tenant", "1 to 64 of A-Z a-z 0-9 . _ -")),
        ("agent_type", Value::Null, claim("agent_type", "there")),
        ("agent_id", json!("V 1"), claim("agent_id", "1 to 128 of A-Z a-z 0-9 . _ ~ @ + -")),
        ("agent_id", json!("V1:x"), claim("agent_id", "1 to 128 of A-Z a-z 0-9 . _ ~ @ + -")),
        ("sub", json!(""), claim("sub", "1 to 256 printable ASCII characters without spaces")),
        ("pillar", json!("*"), claim("pillar", "1 to 128 of A-Z a-z 0-9 . _ ~ @ + -")),
        ("namespaces", json!("vehicle-events"), claim("namespaces", list)),
        ("capabilities", json!([1]), claim("capabilities", list)),
    ];
    for (name, value, rejected) in cases {
        assert_eq!(verified(&but(name, value.clone())), Err(rejected), "{name} {value}");
    }
    for refused in ["fly:*", "publish", "publish:", "lock:a*b", "*"] {
        let is_claim = |rejected| matches!(rejected, Rejected::Claim { claim: "capabilities", .. });
        assert!(is_claim(verified(&but("capabilities", json!([refused]))).unwrap_err()), "{refused}");
    }
}

#[test]
fn what_stands_at_the_edge_is_taken() {
    let cases = [
        ("exp", json!(NOW - 29)),
        ("exp", json!(1_800_000_059.9)),
        ("nbf", json!(NOW + 30)),
        ("aud", json!(["other", "signalbox"])),
        ("sub", Value::Null),
        ("agent_id", json!("V+1")),
        ("whatever", json!({"deep": [1, 2]})),
    ];
    for (name, value) in cases {
        assert!(verified(&but(name, value.clone())).is_ok(), "{name} {value}");
    }
    assert_eq!(verified(&but("sub", Value::Null)).unwrap().subject, "vehicle:V1");
}

#[test]
fn a_claim_that_comes_twice_is_none() {
    let twice = Value::Object(claims()).to_string().replace('}', r#","tenant":"other"}"#);
    assert_eq!(of_claims(&twice), Err(Rejected::Malformed));
    assert_eq!(of_claims("7"), Err(Rejected::Malformed));
    assert_eq!(of_claims(""), Err(Rejected::Malformed));
}

#[test]
fn nobody_is_addressed_where_no_audience_is_expected() {
    let mut verifier = verifier();
    verifier.expected.audiences.clear();
    let token = |claims| signing(Algorithm::Hs256).mint(&claims).unwrap();
    assert_eq!(verifier.verify(&token(claims()), NOW), Err(Rejected::Audience));
    assert!(verifier.verify(&token(but("aud", Value::Null)), NOW).is_ok());
}

#[test]
fn a_token_has_an_end() {
    let long = but("sub", json!("s".repeat(TOKEN_BYTES_MAX)));
    assert_eq!(verified(&long), Err(Rejected::TooLong));
    let token = "a.".repeat(TOKEN_BYTES_MAX);
    assert_eq!(verifier().verify(&token, NOW), Err(Rejected::TooLong));
}

#[test]
fn capabilities_allow_what_they_name_and_nothing_else() {
    let names = ["publish:vehicle:*", "subscribe:route:12", "lock:*"].map(str::to_owned);
    let read = verified(&but("capabilities", json!(names))).unwrap().capabilities;
    assert_eq!(read, Capabilities::parse(&names).unwrap());
    assert!(read.allow(Verb::Publish, "vehicle:position_update"));
    assert!(read.allow(Verb::Subscribe, "route:12") && read.allow(Verb::Lock, "anything"));
    assert!(!read.allow(Verb::Publish, "vehicle") && !read.allow(Verb::Subscribe, "route:123"));
    assert!(!read.allow(Verb::Order, "vehicle:position_update"));
    assert_eq!(verified(&but("capabilities", json!([]))).unwrap().capabilities, Capabilities::default());
    assert!(Capabilities::all().allow(Verb::Admin, "nodes"));
    assert!(read.allow_some(Verb::Subscribe) && !read.allow_some(Verb::Push));
    assert!(
        read.allow(Verb::Lock, "*") && !read.allow(Verb::Publish, "*"),
        "a star is for all that there is"
    );
}

#[test]
fn a_token_without_the_claim_grants_what_such_agents_need() {
    use Verb::{Admin, Board, End, Lock, Order, Publish, Push, Query, See, Subscribe};
    let usual = |agent_type: &str| verified(&but("agent_type", json!(agent_type))).unwrap().capabilities;
    for (agent_type, allowed, not) in [
        ("service", &[Publish, Subscribe, Lock, Order, Query, Push, Board, See, End][..], &[Admin][..]),
        ("conductor", &[Publish, Subscribe, Lock, Order, Query, Board], &[Push, See, End, Admin]),
        ("driver", &[Publish, Subscribe, Lock, Order, Query], &[Board, Push, See, End, Admin]),
        ("vehicle", &[Publish, Subscribe, Lock, Order, Query], &[Board, Push, See, End, Admin]),
        ("passenger", &[Publish, Subscribe, Lock, Order], &[Query, Board, Push, See, End, Admin]),
        ("tram", &[Publish, Subscribe, Lock, Order], &[Query, Board, Push, See, End, Admin]),
    ] {
        let usual = usual(agent_type);
        assert!(allowed.iter().all(|verb| usual.allow(*verb, "*")), "{agent_type}");
        assert!(not.iter().all(|verb| !usual.allow(*verb, "*")), "{agent_type}");
    }
    assert!(usual("vehicle").allow(Board, "V1") && !usual("vehicle").allow(Board, "V12"));
}

#[test]
fn keys_that_are_none() {
    let try_key = |algorithm, material: &[u8]| Key::try_new(None, algorithm, material).map(|_| ());
    assert_eq!(try_key(Algorithm::Hs256, &[1; 31]), Err(InvalidKey::ShortSecret));
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        assert_eq!(try_key(algorithm, SECRET), Err(InvalidKey::NotPem(algorithm)));
        let other = pair(if algorithm == Algorithm::Rs256 { Algorithm::Es256 } else { Algorithm::Rs256 }).1;
        assert_eq!(try_key(algorithm, other), Err(InvalidKey::NotPem(algorithm)), "of another kind");
    }
    assert!(!format!("{:?} {:?}", verifier(), signing(Algorithm::Hs256)).contains("secret of"));
}

#[test]
fn a_published_set_is_read_and_what_does_not_sign_is_left_out() {
    // RFC 8037, A.2, and RFC 7517, A.1 (there for encryption; the curve's key is for signatures here).
    let ed = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let ec = json!({"kty": "EC", "crv": "P-256", "use": "enc", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"});
    let secret = json!({"kty": "oct", "kid": "s", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    let unknown = json!({"kty": "new", "kid": "n"});
    let lying = json!({"kty": "OKP", "crv": "Ed25519", "kid": "l", "alg": "HS256", "x": "AA"});
    let set = |keys: Value| Keyring::of_set(json!({ "keys": keys }).to_string().as_bytes());
    let read = set(json!([ed, ec, secret, unknown, lying])).unwrap();
    let named = |id| read.named(Some(id)).count();
    assert_eq!((named("ed"), named("1"), named("s"), named("n"), named("l")), (1, 0, 0, 0, 0));
    assert_eq!(set(json!([secret])).unwrap_err(), InvalidKeySet::Empty);
    assert_eq!(set(json!(vec![ed; 65])).unwrap_err(), InvalidKeySet::TooMany);
    assert_eq!(Keyring::of_set(b"<html>").unwrap_err(), InvalidKeySet::NotASet);
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_unsigned_is_taken(token in "[A-Za-z0-9_.-]{0,200}", raw in ".{0,80}") {
        prop_assert!(verifier().verify(&token, NOW).is_err());
        prop_assert!(verifier().verify(&raw, NOW).is_err());
        let header = format!("{}.{token}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"HS256"}"#));
        prop_assert!(verifier().verify(&header, NOW).is_err());
        let _ = of_claims(&raw);
        let _ = of_header(&raw);
    }
}

#[test]
fn what_a_token_says_can_be_read_without_its_signature() {
    let token = signing(Algorithm::EdDsa).mint(&claims()).unwrap();
    let said = Said::of(&token).unwrap();
    assert_eq!((said.header["kid"].as_str(), said.claims["agent_id"].as_str()), (Some("EdDSA"), Some("V1")));
    let signature = token.rsplit('.').next().unwrap();
    assert!(!format!("{said:?}").contains(signature));
    for (token, why) in [
        ("", Rejected::Malformed),
        ("a.b.c", Rejected::Malformed),
        ("e30", Rejected::Malformed),
        (&*"x".repeat(TOKEN_BYTES_MAX + 1), Rejected::TooLong),
    ] {
        assert_eq!(Said::of(token), Err(why));
    }
}
