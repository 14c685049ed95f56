//! The keys that a configuration names: read from where they lie, each problem with its setting.

use std::fs::File;
use std::io::Read;

use signalbox_identity::{Algorithm, Expected, InvalidKey, Key, Keyring, Verifier};
use thiserror::Error;

use super::sections::Auth;
use crate::outbound::UnusableCertificates;
use crate::trust::{KeySetUrl, Publisher, PublisherSettings};

/// A key is never longer: one of RSA with 16,384 bits has 3 KiB.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A key that can't be used.
#[derive(Debug)]
pub struct UnusableKey {
    /// The setting that names it.
    pub setting: &'static str,
    /// What is wrong; holds nothing of the key.
    pub problem: String,
}

/// Keys that can't be used; at least one.
#[derive(Debug, Error)]
#[error("keys can't be used: {}", listed(.0))]
pub struct UnusableKeys(pub Vec<UnusableKey>);

fn listed(keys: &[UnusableKey]) -> String {
    keys.iter().map(|UnusableKey { setting, problem }| format!("{setting} {problem}; ")).collect()
}

impl Auth {
    /// What tokens are held against: the keys that are configured here, without those that are published elsewhere.
    /// Reads files.
    ///
    /// # Errors
    /// Every key that can't be used.
    pub fn verifier(&self) -> Result<Verifier, UnusableKeys> {
        let unusable = |setting| move |problem| UnusableKey { setting, problem };
        let in_files = self.keys.iter().map(|line| of_line(line).map_err(unusable("auth.keys")));
        let secret = self.secret.iter().map(|secret| {
            let key = usable(Algorithm::Hs256, secret.expose().as_bytes(), self.secret_id.as_deref());
            key.map_err(unusable("auth.secret"))
        });
        let public = self.public_key.iter().map(|pem| {
            of_pem(pem.as_bytes(), self.public_key_id.as_deref()).map_err(unusable("auth.public_key"))
        });
        let (mut keys, mut problems) = (Vec::new(), Vec::new());
        for key in in_files.chain(secret).chain(public) {
            match key {
                Ok(key) => keys.push(key),
                Err(problem) => problems.push(problem),
            }
        }
        let verifier = Verifier { keys: Keyring::new(keys), expected: self.expected() };
        if problems.is_empty() { Ok(verifier) } else { Err(UnusableKeys(problems)) }
    }

    /// The files that `auth.keys` names.
    pub fn key_files(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|line| line.split_ascii_whitespace().nth(1))
    }

    /// Where more keys are published, if anywhere. Reads the certificates that vouch for the server.
    ///
    /// # Errors
    /// The address or the certificates can't be used.
    pub fn publisher(&self) -> Result<Option<Publisher>, UnusableKeys> {
        let unusable = |setting, problem: String| UnusableKeys(vec![UnusableKey { setting, problem }]);
        let Some(url) = &self.jwks_url else { return Ok(None) };
        let settings = PublisherSettings {
            url: KeySetUrl::try_new(url).map_err(|error| unusable("auth.jwks_url", error.to_string()))?,
            ca_file: self.jwks_ca_file.clone(),
            timeout: self.jwks_timeout,
            bytes_max: self.jwks_bytes_max,
            refresh: self.jwks_refresh,
            reread: self.jwks_reread,
        };
        let of_server = |error: UnusableCertificates| unusable("auth.jwks_ca_file", error.to_string());
        Publisher::try_new(settings).map(Some).map_err(of_server)
    }

    fn expected(&self) -> Expected {
        Expected {
            issuers: self.issuers.clone(),
            audiences: self.audiences.clone(),
            leeway: self.leeway.as_secs(),
            lifetime_max: Some(self.lifetime_max.as_secs()),
        }
    }
}

/// Reads `EdDSA /etc/signalbox/issuer.pem issuer-1`: the algorithm, the file, and the id if it has one.
fn of_line(line: &str) -> Result<Key, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (algorithm, path, id) = match words[..] {
        [algorithm, path] => (algorithm, path, None),
        [algorithm, path, id] => (algorithm, path, Some(id)),
        _ => return Err("must be lines such as `EdDSA /etc/signalbox/issuer.pem issuer-1`".to_owned()),
    };
    let algorithm = algorithm.parse().map_err(|allowed| format!("names an algorithm that {allowed}"))?;
    let material = read(path).map_err(|problem| format!("names {path}, which {problem}"))?;
    usable(algorithm, material.trim_ascii(), id).map_err(|problem| format!("names {path}, which {problem}"))
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    let mut material = Vec::new();
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut material)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if material.len() as u64 > FILE_BYTES_MAX {
        return Err("is too long for a key".to_owned());
    }
    Ok(material)
}

/// A key, unless it is the wrong half of a pair, or a public key as a secret that everybody knows.
fn usable(algorithm: Algorithm, material: &[u8], id: Option<&str>) -> Result<Key, String> {
    match algorithm {
        Algorithm::Hs256 if is_pem(material) => {
            Err("is a key in PEM, which is no secret: name the algorithm that it is for".to_owned())
        }
        Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa if is_private(material) => {
            Err("is a private key: the node needs the public one only".to_owned())
        }
        _ => Key::try_new(id, algorithm, material).map_err(|error| match error {
            InvalidKey::ShortSecret => "is a secret of fewer than 32 bytes".to_owned(),
            InvalidKey::NotPem(algorithm) => format!("is no public key for {algorithm} in PEM"),
            InvalidKey::NotJwk => "can't be read".to_owned(),
        }),
    }
}

/// The kind of a public key decides what it is for.
fn of_pem(pem: &[u8], id: Option<&str>) -> Result<Key, String> {
    if is_private(pem) {
        return usable(Algorithm::EdDsa, pem, id);
    }
    let kinds = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
    let key = kinds.into_iter().find_map(|algorithm| usable(algorithm, pem.trim_ascii(), id).ok());
    key.ok_or_else(|| "is no public key of RSA, P-256 or Ed25519 in PEM".to_owned())
}

fn is_pem(material: &[u8]) -> bool {
    material.starts_with(b"-----BEGIN ")
}

fn is_private(material: &[u8]) -> bool {
    const MARK: &[u8] = b"PRIVATE KEY-----";
    material.windows(MARK.len()).any(|window| window == MARK)
}
