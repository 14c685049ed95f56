//! What a failure of Redis means for whoever asked.

use redis::{RedisError, ServerError, Value};

use super::address::Address;
use crate::Error;

/// What an error reply means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Redis does not know the script: send its text.
    NoScript,
    /// Redis can't serve now; nothing was done.
    NotNow,
    /// This Redis takes no writes any more: the one to talk to is another. Nothing was done.
    WrongOne,
    /// Redis won't.
    Never,
}

impl Refusal {
    pub(super) fn of(error: &ServerError) -> Self {
        match error.code() {
            "NOSCRIPT" => Self::NoScript,
            "LOADING" | "MASTERDOWN" | "TRYAGAIN" | "BUSY" | "CLUSTERDOWN" | "NOREPLICAS" | "MOVED"
            | "ASK" => Self::NotNow,
            "READONLY" => Self::WrongOne,
            _ => Self::Never,
        }
    }

    pub(super) fn error(self, error: ServerError) -> Error {
        let error = Box::new(RedisError::from(error));
        match self {
            Self::NoScript | Self::NotNow | Self::WrongOne => Error::Unavailable(Some(error)),
            Self::Never => Error::Refused(error),
        }
    }
}

/// A question changes nothing, so that asking again is always safe.
pub(super) fn of_question(error: Error) -> Error {
    match error {
        Error::OutcomeUnknown(source) => Error::Unavailable(source),
        error => error,
    }
}

/// A server says that another has a slot. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    pub(super) slot: u16,
    pub(super) to: Address,
    /// The slot is on its way there: the next call is asked here again.
    pub(super) is_for_once: bool,
}

impl Redirect {
    pub(super) fn of(answer: &Value) -> Option<Self> {
        let Value::ServerError(error) = answer else { return None };
        let is_for_once = match error.code() {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        // `3999 127.0.0.1:6381`
        let (slot, to) = error.details()?.split_once(' ')?;
        let (host, port) = to.rsplit_once(':')?;
        let to = Address { host: host.to_owned(), port: port.parse().ok()? };
        Some(Self { slot: slot.parse().ok()?, to, is_for_once })
    }
}

#[cfg(test)]
mod tests {
    use redis::ErrorKind;

    use super::*;

    fn server_error(line: &str) -> ServerError {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let Value::ServerError(error) = value else { panic!("{value:?}") };
        error
    }

    #[test]
    fn error_replies_mean_what_the_caller_can_do() {
        for (line, expected) in [
            ("NOSCRIPT No matching script.", Refusal::NoScript),
            ("LOADING Redis is loading the dataset in memory", Refusal::NotNow),
            ("MASTERDOWN Link with MASTER is down", Refusal::NotNow),
            ("TRYAGAIN Multiple keys request during rehashing", Refusal::NotNow),
            ("READONLY You can't write against a read only replica.", Refusal::WrongOne),
            ("OOM command not allowed when used memory > 'maxmemory'.", Refusal::Never),
            ("WRONGTYPE Operation against a key", Refusal::Never),
            ("ERR unknown command", Refusal::Never),
        ] {
            assert_eq!(Refusal::of(&server_error(line)), expected, "{line}");
        }
        let unavailable = Refusal::NotNow.error(server_error("LOADING x"));
        assert!(matches!(unavailable, Error::Unavailable(Some(_))));
        assert!(matches!(Refusal::Never.error(server_error("OOM x")), Error::Refused(_)));
    }

    #[test]
    fn a_redirection_tells_where_and_for_how_long() {
        let of = |line| Redirect::of(&Value::ServerError(server_error(line)));
        let to = Address { host: "::1".into(), port: 6_381 };
        assert_eq!(
            of("MOVED 3999 ::1:6381"),
            Some(Redirect { slot: 3_999, to: to.clone(), is_for_once: false })
        );
        assert_eq!(of("ASK 3999 ::1:6381"), Some(Redirect { slot: 3_999, to, is_for_once: true }));
        for other in ["TRYAGAIN x", "MOVED x", "MOVED 1 a:b", "ERR 1 a:1"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_lost_answer_to_a_question_is_no_unknown_outcome() {
        let lost = RedisError::from((ErrorKind::Io, "broken pipe"));
        let lost = Error::OutcomeUnknown(Some(Box::new(lost)));
        assert!(matches!(of_question(lost), Error::Unavailable(Some(_))));
    }
}
