//! Why a request was refused: the codes of `system:error` and of the HTTP API's problems.

use std::borrow::Cow;
use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// Why a request was refused. Clients branch on the code; the message beside it is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The text is not JSON.
    InvalidJson,
    /// The text is JSON but not an envelope: a field is missing, repeated, or of the wrong type.
    InvalidEnvelope,
    /// `type` is not `group:name`.
    InvalidType,
    /// `target`, or a topic in `data`, is not a topic, or not one that this request can address.
    InvalidTarget,
    /// The `data` of a command lacks a field or has one of the wrong type.
    InvalidData,
    /// This version has no such command.
    UnknownType,
    /// The sender may not do this.
    Forbidden,
    /// What was addressed does not exist, or nobody is there.
    NotFound,
    /// More than a limit allows.
    TooLarge,
    /// Too many requests in too short a time.
    RateLimited,
    /// The state of what was addressed rules this out.
    Conflict,
    /// The node can't do this at the moment. Nothing was done.
    Unavailable,
    /// No answer in time from whoever was asked.
    Timeout,
    /// The command's answer was lost: it may or may not have been carried out.
    OutcomeUnknown,
    /// A fault of the node itself.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the reference.
    pub const ALL: [Self; 15] = [
        Self::InvalidJson,
        Self::InvalidEnvelope,
        Self::InvalidType,
        Self::InvalidTarget,
        Self::InvalidData,
        Self::UnknownType,
        Self::Forbidden,
        Self::NotFound,
        Self::TooLarge,
        Self::RateLimited,
        Self::Conflict,
        Self::Unavailable,
        Self::Timeout,
        Self::OutcomeUnknown,
        Self::Internal,
    ];

    /// The code as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        self.facts().0
    }

    /// Whether the same request may succeed if it is sent again later.
    ///
    /// For [`ErrorCode::OutcomeUnknown`] that means: with the same `request_id` or message `id`.
    pub fn retryable(self) -> bool {
        self.facts().1
    }

    /// The status that the HTTP API answers with.
    pub fn http_status(self) -> u16 {
        self.facts().2
    }

    /// Name, whether a retry helps, HTTP status.
    fn facts(self) -> (&'static str, bool, u16) {
        match self {
            Self::InvalidJson => ("invalid_json", false, 400),
            Self::InvalidEnvelope => ("invalid_envelope", false, 422),
            Self::InvalidType => ("invalid_type", false, 422),
            Self::InvalidTarget => ("invalid_target", false, 422),
            Self::InvalidData => ("invalid_data", false, 422),
            Self::UnknownType => ("unknown_type", false, 422),
            Self::Forbidden => ("forbidden", false, 403),
            Self::NotFound => ("not_found", false, 404),
            Self::TooLarge => ("too_large", false, 413),
            Self::RateLimited => ("rate_limited", true, 429),
            Self::Conflict => ("conflict", false, 409),
            Self::Unavailable => ("unavailable", true, 503),
            Self::Timeout => ("timeout", true, 504),
            Self::OutcomeUnknown => ("outcome_unknown", true, 504),
            Self::Internal => ("internal", false, 500),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal as its asker sees it: the `data` of `system:error`, `{code, message, retryable, details}`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Fault {
    /// What kind of refusal.
    pub code: ErrorCode,
    /// What is wrong and what to do, for people.
    pub message: Cow<'static, str>,
    /// Facts for programs, e.g. `{"field": "target"}`; `null` on the wire if there are none.
    #[serde(default)]
    pub details: Option<Value>,
}

impl Fault {
    /// A refusal without details.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: None }
    }

    /// The same refusal with `details` for programs.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The same refusal with the details `{"field": field}`.
    #[must_use]
    pub fn in_field(self, field: &str) -> Self {
        self.with_details(serde_json::json!({ "field": field }))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fault = serializer.serialize_struct("Fault", 4)?;
        fault.serialize_field("code", &self.code)?;
        fault.serialize_field("message", &self.message)?;
        fault.serialize_field("retryable", &self.code.retryable())?;
        fault.serialize_field("details", &self.details)?;
        fault.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_one_name_on_the_wire() {
        for code in ErrorCode::ALL {
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(json, format!("{:?}", code.as_str()));
            assert_eq!(serde_json::from_str::<ErrorCode>(&json).unwrap(), code);
            assert!((400..600).contains(&code.http_status()), "{code}");
        }
    }

    #[test]
    fn a_fault_is_written_with_all_four_fields_and_read_back() {
        let fault = Fault::new(ErrorCode::RateLimited, "slow down");
        let json = serde_json::to_string(&fault).unwrap();
        assert_eq!(json, r#"{"code":"rate_limited","message":"slow down","retryable":true,"details":null}"#);
        assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);

        let fault = Fault::new(ErrorCode::InvalidTarget, "no such topic").in_field("target");
        assert!(serde_json::to_string(&fault).unwrap().ends_with(r#""details":{"field":"target"}}"#));
        assert_eq!(fault.to_string(), "invalid_target: no such topic");
    }
}
