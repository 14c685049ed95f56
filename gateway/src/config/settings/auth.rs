//! The rows of the section `auth`.

use super::{KIB, MIB, Setting, Unit, ms, s, setting};

/// Its settings, in the order in which they are shown.
pub(super) const AUTH: &[Setting] = &[
    setting(
        "auth.keys",
        Unit::Names,
        "Keys that vouch for tokens, each as algorithm, file and, if its tokens name one, the key's id: \
         `EdDSA /etc/signalbox/issuer.pem issuer-1`. HS256 (the file holds the secret, at least 32 bytes), RS256, \
         ES256, EdDSA (a public key in PEM). A key is for its one algorithm, whatever a token says. With any \
         key, identities from the query need allow_anonymous, also on loopback. Read again when one of the files changes \
         (looked at every 5 s) and on SIGHUP; while one can't be read all stay as they were.",
    ),
    setting(
        "auth.secret",
        Unit::Secret("a secret of at least thirty-two bytes"),
        "A secret for HS256. Who has it can make tokens: prefer a public key where others check tokens too.",
    ),
    setting(
        "auth.secret_id",
        Unit::Text("main"),
        "The id by which tokens name auth.secret (`kid`). Without it: tokens that name no key.",
    ),
    setting(
        "auth.public_key",
        Unit::Text("-----BEGIN PUBLIC KEY-----..."),
        "A public key in PEM, for where a file is inconvenient: RSA is for RS256, P-256 for ES256, Ed25519 for \
         EdDSA.",
    ),
    setting(
        "auth.public_key_id",
        Unit::Text("issuer-1"),
        "The id by which tokens name auth.public_key (`kid`). Without it: tokens that name no key.",
    ),
    setting(
        "auth.jwks_url",
        Unit::Text("https://id.example.org/.well-known/jwks.json"),
        "Where an issuer publishes its keys (RFC 7517). When it can't be read the last keys stay, counted by \
         signalbox_jwks_reads_total; until it was read once the node is not ready. http on loopback only: whoever \
         can change the answer on its way can make tokens. Redirections are not followed.",
    ),
    setting(
        "auth.jwks_ca_file",
        Unit::Text("/etc/signalbox/ca.pem"),
        "Certificates in PEM that vouch for the server of auth.jwks_url. Without it those of the machine do.",
    ),
    setting(
        "auth.jwks_refresh",
        Unit::Period(s(1), s(24 * 3600)),
        "How often published keys are read. A withdrawn key is believed for so long.",
    ),
    setting(
        "auth.jwks_reread",
        Unit::Period(ms(100), s(3600)),
        "The least time between two readings because a token named a key that is not known, so that made-up \
         tokens can't have the issuer asked without end. That token is refused; its client comes again.",
    ),
    setting("auth.jwks_timeout", Unit::Period(ms(50), s(60)), "How long one reading may take."),
    setting(
        "auth.jwks_bytes_max",
        Unit::Bytes(KIB, 4 * MIB),
        "Bytes of the published keys; a longer answer is none. A key with its certificates is 4 KiB.",
    ),
    setting(
        "auth.issuers",
        Unit::Names,
        "A token's `iss` has to be one of these. None: any, since its key vouches for it.",
    ),
    setting(
        "auth.audiences",
        Unit::Names,
        "A token's `aud` has to name one of these. None: a token that is for somebody in particular is refused.",
    ),
    setting(
        "auth.leeway",
        Unit::Period(s(0), s(300)),
        "How far the clocks of issuer and node may differ: so long after its end a token is still taken.",
    ),
    setting(
        "auth.lifetime_max",
        Unit::Period(s(1), s(10 * 366 * 24 * 3600)),
        "How long a token may be valid in all, from `iat` (or now) to `exp`; a longer one is refused. A revocation is \
         kept for as long, so this bounds what revocations cost. The same on every node of a cluster.",
    ),
    setting(
        "auth.token_in_url",
        Unit::Switch,
        "Whether a token may stand in the address, as `access_token=`, for clients that can set neither a header nor a \
         subprotocol. Addresses end up in the logs of proxies.",
    ),
    setting(
        "auth.expiry_notice",
        Unit::Period(s(1), s(24 * 3600)),
        "How long before the end of its token a client is told (system:token_expiring), so that it can show a new one \
         without a new connection. Up to a quarter earlier, so that tokens of one moment are not renewed in one.",
    ),
    setting(
        "auth.revocations_max",
        Unit::Count("revocations", 1, 1_000_000),
        "Revocations kept of one tenant, each for auth.lifetime_max and in the memory of every node, about 200 bytes. \
         Beyond it one more is refused with 409; whoever needs more changes the key.",
    ),
    setting(
        "auth.revocations_reread",
        Unit::Period(ms(100), s(3600)),
        "How often a node looks for revocations that it was not told of. Nodes are told at once; one that missed it, \
         since it or the bus was away, learns it so long after both are back.",
    ),
];
