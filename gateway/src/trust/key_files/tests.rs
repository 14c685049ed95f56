//! Keys that are rotated under a node's feet, on a clock that does not wait.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use signalbox_identity::{Algorithm, Keyring, Rejected, SigningKey};
use signalbox_registry::memory::MemoryCluster;
use signalbox_testkit::eventually;

use super::*;
use crate::files::LOOK_EVERY;
use crate::node::Settings;
use crate::stamps::now_ms;
use crate::testing::{default_settings, node_in};
use crate::trust::Trust;

const PUBLISHED: &[u8] = br#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "Rao-AT8h51HK8rcmY-8XhiEsi7LDa3hvQT-BsR0uO28"}]}"#;
const ED: &[u8] = include_bytes!("../../../../identity/src/tests/ed.pem");

fn secret(name: &str) -> String {
    format!("the secret of the issuer's key {name}, long enough")
}

/// As whoever rotates keys does it: there is no moment without a whole file.
fn replace(file: &Path, text: &str) {
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

fn token(signing: &SigningKey) -> String {
    let exp = now_ms() / 1_000 + 3_600;
    let claims = json!({ "tenant": "acme", "agent_type": "vehicle", "agent_id": "V1", "exp": exp });
    signing.mint(claims.as_object().unwrap()).unwrap()
}

fn verified(trust: &Trust, name: &str) -> Result<(), Rejected> {
    let signing = SigningKey::try_new(None, Algorithm::Hs256, secret(name).as_bytes()).unwrap();
    trust.verify(&token(&signing)).map(drop)
}

/// A node whose key is in this file.
async fn node_of(file: &Path) -> Arc<Node> {
    let auth = Auth { keys: vec![format!("HS256 {}", file.display())], ..Auth::default() };
    let key_files = KeyFiles::watch(&auth);
    let verifier = auth.verifier().unwrap();
    let settings = Settings { key_files: key_files.clone(), verifier, ..default_settings() };
    let node = node_in(&MemoryCluster::new(), "n1", settings).await;
    node.tasks.spawn(run(Arc::clone(&node), key_files.unwrap()));
    node
}

fn reloads(node: &Node, result: &str) -> u64 {
    let told = String::from_utf8(node.metrics.render(&node.readings())).unwrap();
    let series = format!("signalbox_key_reloads_total{{result=\"{result}\"}} ");
    told.lines().find_map(|line| line.strip_prefix(&series)).expect("it is told").parse().unwrap()
}

/// Two looks of the node.
async fn within_two_looks(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, 2 * LOOK_EVERY, || std::future::ready(holds())).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_takes_anothers_place_is_believed_without_a_restart_and_the_other_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("issuer");
    replace(&file, &secret("one"));
    let node = node_of(&file).await;
    assert_eq!((verified(&node.trust, "one"), verified(&node.trust, "two").is_err()), (Ok(()), true));
    replace(&file, &secret("two"));
    within_two_looks("it is read", || verified(&node.trust, "two").is_ok()).await;
    assert_eq!(verified(&node.trust, "one"), Err(Rejected::Signature));
    assert_eq!(
        (reloads(&node, "read"), reloads(&node, "unusable")),
        (1, 0),
        "it is read when it changes, and not else"
    );
}

#[tokio::test(start_paused = true)]
async fn keys_that_cannot_be_read_leave_those_of_before() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("issuer");
    replace(&file, &secret("one"));
    let node = node_of(&file).await;
    replace(&file, "short");
    within_two_looks("it is tried", || reloads(&node, "unusable") == 1).await;
    assert_eq!(verified(&node.trust, "one"), Ok(()));
    std::fs::remove_file(&file).unwrap();
    within_two_looks("that it is gone is noticed", || reloads(&node, "unusable") == 2).await;
    assert_eq!(verified(&node.trust, "one"), Ok(()));
    replace(&file, &secret("two"));
    within_two_looks("it is read", || verified(&node.trust, "two").is_ok()).await;
    assert_eq!((verified(&node.trust, "one").is_err(), reloads(&node, "read")), (true, 1));
}

#[tokio::test(start_paused = true)]
async fn a_change_between_reading_and_looking_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("issuer");
    replace(&file, &secret("one"));
    let auth = Auth { keys: vec![format!("HS256 {}", file.display())], ..Auth::default() };
    let key_files = KeyFiles::watch(&auth).unwrap();
    let settings = Settings { verifier: auth.verifier().unwrap(), ..default_settings() };
    replace(&file, &secret("two"));
    let node = node_in(&MemoryCluster::new(), "n1", settings).await;
    node.tasks.spawn(run(Arc::clone(&node), key_files));
    eventually("the first look sees it", Duration::from_secs(1), || async {
        verified(&node.trust, "two").is_ok()
    })
    .await;
}

#[test]
fn published_keys_and_those_of_files_change_without_each_other() {
    let keys = |name: &str| {
        let key = signalbox_identity::Key::try_new(None, Algorithm::Hs256, secret(name).as_bytes()).unwrap();
        signalbox_identity::Verifier { keys: Keyring::new(vec![key]), ..Default::default() }
    };
    let published = token(&SigningKey::try_new(Some("ed"), Algorithm::EdDsa, ED).unwrap());
    let trust = Trust::of_verifier(keys("one"));
    trust.publish(Keyring::of_set(PUBLISHED).unwrap());
    assert!(trust.verify(&published).is_ok() && verified(&trust, "one").is_ok());
    trust.configure(keys("two"));
    assert!(trust.verify(&published).is_ok() && verified(&trust, "two").is_ok());
    assert!(verified(&trust, "one").is_err());
    trust.publish(Keyring::default());
    assert!(trust.verify(&published).is_err() && verified(&trust, "two").is_ok());
}

#[test]
fn without_files_there_is_nothing_to_look_at() {
    assert!(KeyFiles::watch(&Auth { public_key: Some("-----".to_owned()), ..Auth::default() }).is_none());
}
