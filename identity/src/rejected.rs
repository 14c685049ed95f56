//! Why a token is not taken.

use thiserror::Error;

/// Why a token is not taken. Holds nothing of the token, so that no log and no answer can.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// Longer than any token has to be.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of base64url, or not JSON inside, or something in it twice.
    #[error("the token is malformed")]
    Malformed,
    /// Its algorithm is none of those that are taken; `none` is none.
    #[error("the token's algorithm is not taken")]
    Algorithm,
    /// It says that it must not be taken by whoever does not know some extension (RFC 7515, 4.1.11).
    #[error("the token needs an extension that is not known")]
    Critical,
    /// No key of its name.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The key is for another algorithm.
    #[error("the token's key is for another algorithm")]
    WrongAlgorithm,
    /// The key did not sign it.
    #[error("the token's signature does not fit")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Valid for longer than is allowed, and so than it could be revoked.
    #[error("the token is valid for too long a time")]
    LivesTooLong,
    /// It was revoked, or does not say when it was issued and others of its bearer were revoked.
    #[error("the token was revoked")]
    Revoked,
    /// Of somebody else.
    #[error("the token's issuer is not the expected one")]
    Issuer,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// A claim is missing, or is not what it has to be.
    #[error("the token's claim {claim} has to be {allowed}")]
    Claim {
        /// The claim's name.
        claim: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
}

impl Rejected {
    /// All short names.
    pub const NAMES: [&str; 14] = [
        "too_long",
        "malformed",
        "algorithm",
        "critical",
        "unknown_key",
        "wrong_algorithm",
        "signature",
        "expired",
        "not_yet_valid",
        "lives_too_long",
        "revoked",
        "issuer",
        "audience",
        "claim",
    ];

    /// Short name, for a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Critical => "critical",
            Self::UnknownKey => "unknown_key",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::LivesTooLong => "lives_too_long",
            Self::Revoked => "revoked",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claim { .. } => "claim",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_the_list() {
        use Rejected::*;
        let claim = Claim { claim: "exp", allowed: "there" };
        let all = [
            TooLong,
            Malformed,
            Algorithm,
            Critical,
            UnknownKey,
            WrongAlgorithm,
            Signature,
            Expired,
            NotYetValid,
            LivesTooLong,
            Revoked,
            Issuer,
            Audience,
            claim,
        ];
        assert_eq!(all.map(Rejected::as_str), Rejected::NAMES);
    }
}
