//! What is believed, and what no longer.

use serde_json::json;
use signalbox_identity::{Algorithm, Expected, Key, Keyring, Rejected, SigningKey, Verifier};

use super::Trust;
use crate::stamps::now_ms;

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

fn verifier() -> Verifier {
    let key = Key::try_new(None, Algorithm::Hs256, SECRET).unwrap();
    Verifier { keys: Keyring::new(vec![key]), expected: Expected::default() }
}

/// A token of `vehicle:V1` that ends `seconds` from now.
fn token(seconds: i64) -> String {
    let expires_at = (now_ms() / 1_000).saturating_add_signed(seconds);
    let claims = json!({ "tenant": "acme", "agent_type": "vehicle", "agent_id": "V1", "exp": expires_at });
    let signing = SigningKey::try_new(None, Algorithm::Hs256, SECRET).unwrap();
    signing.mint(claims.as_object().unwrap()).unwrap()
}

#[test]
fn a_token_is_believed_by_the_keys_and_the_clock() {
    let trust = Trust::of_verifier(verifier());
    assert_eq!(trust.verify(&token(60)).unwrap().agent.as_str(), "vehicle:V1");
    assert_eq!(trust.verify(&token(-60)), Err(Rejected::Expired));
    assert_eq!(Trust::none().verify(&token(60)), Err(Rejected::UnknownKey));
}
