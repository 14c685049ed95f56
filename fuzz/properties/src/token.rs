//! A token: only what the key has signed is believed.

use signalbox_identity::{Algorithm, Expected, Key, Keyring, Verifier};

/// Signs the tokens of the corpus.
const SECRET: &[u8] = b"a secret for tests, which is long enough";
/// All tokens of the corpus are alive then.
const NOW: u64 = 1_800_000_000;
/// The signed tokens of the corpus: `fuzz/properties/tests/corpora.rs` writes them.
const SIGNED: &[&[u8]] =
    &[include_bytes!("../../corpus/token/whole"), include_bytes!("../../corpus/token/least")];

/// A token.
///
/// # Panics
/// When a token is believed that nobody signed.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let key = Key::try_new(None, Algorithm::Hs256, SECRET).expect("a good secret");
    let verifier = Verifier { keys: Keyring::new(vec![key]), expected: Expected::default() };
    if let Ok(claims) = verifier.verify(text, NOW) {
        assert!(SIGNED.contains(&bytes), "nobody signed {claims:?}");
    }
}
