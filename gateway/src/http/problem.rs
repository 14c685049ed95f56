//! Errors over HTTP: `application/problem+json` (RFC 9457) with the codes of the WebSocket.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use signalbox_protocol::error::ErrorCode;

/// Seconds that a client should wait before it tries again what was `unavailable` or `rate_limited`.
const RETRY_AFTER_SECONDS: u32 = 1;

/// An answer that says what is wrong and what to do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Problem {
    #[serde(skip)]
    status_code: StatusCode,
    #[serde(skip)]
    retry_after_seconds: u32,
    #[serde(skip)]
    challenge: Option<&'static str>,
    status: u16,
    title: &'static str,
    code: ErrorCode,
    detail: Cow<'static, str>,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

impl Problem {
    /// A problem with the status that its code has over HTTP.
    pub fn of(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status_code: status,
            retry_after_seconds: RETRY_AFTER_SECONDS,
            challenge: None,
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("error"),
            code,
            detail: detail.into(),
            retryable: code.retryable(),
            details: None,
        }
    }

    /// 401: a token is needed; another one, if one was shown (RFC 6750, 3).
    pub fn unauthenticated(detail: impl Into<Cow<'static, str>>, was_shown: bool) -> Self {
        let problem = Self::of(ErrorCode::Forbidden, detail).with_status(StatusCode::UNAUTHORIZED);
        let challenge = if was_shown { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        Self { challenge: Some(challenge), ..problem }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status_code = status;
        self.status = status.as_u16();
        self.title = status.canonical_reason().unwrap_or("error");
        self
    }

    /// The same with another `Retry-After`, if it has one.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = seconds;
        self
    }

    /// The same with details.
    #[must_use]
    pub fn with_details(mut self, details: Option<Value>) -> Self {
        self.details = details;
        self
    }

    /// The response.
    pub fn into_response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status_code;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(self.status_code, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, self.retry_after_seconds.into());
        }
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.status_code == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        Self::into_response(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_tried_again_says_when() {
        let response = Problem::of(ErrorCode::Unavailable, "later").into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let response = Problem::of(ErrorCode::Unavailable, "later").with_retry_after(4).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "4");
        let response = Problem::of(ErrorCode::NotFound, "gone").into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert!(!response.headers().contains_key(header::RETRY_AFTER));
    }
}
