//! Who is talking, and what they may do: tokens, the keys that vouch for them, and capabilities.
//!
//! Pure: no I/O and no clock. Whoever asks says what time it is, and reads keys from where they lie. The signatures
//! are checked by a library; everything that is said in a token is read here, strictly (RFC 7519, RFC 8725).

mod algorithm;
mod capability;
mod claims;
mod key;
mod keyring;
mod mint;
mod parts;
mod rejected;
mod said;
mod verify;

pub use algorithm::Algorithm;
pub use capability::{Capabilities, Capability, InvalidCapability, Verb};
pub use claims::Claims;
pub use key::{InvalidKey, Key, SECRET_BYTES_MIN};
pub use keyring::{InvalidKeySet, Keyring};
pub use mint::{MintError, SigningKey};
pub use rejected::Rejected;
pub use said::Said;
pub use verify::{Expected, TOKEN_BYTES_MAX, Verifier};

#[cfg(test)]
mod tests;
