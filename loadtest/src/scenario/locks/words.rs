//! The questions about locks as frames, and what their answers say.

use serde::Deserialize;
use signalbox_client::protocol::ErrorCode;

use crate::asking::answer;

/// What a node says to a question about a lock.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// To an acquisition or a renewal.
    Granted {
        token: String,
        fence: u64,
        ttl_ms: u32,
    },
    Released,
    Denied {
        retry_after_ms: u64,
    },
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    token: Option<&'a str>,
    #[serde(default)]
    fence: u64,
    #[serde(default)]
    ttl_ms: u32,
    #[serde(default)]
    retry_after_ms: u64,
    #[serde(default)]
    code: Option<ErrorCode>,
}

impl Reply {
    /// What `text` says to the question `id`; `None` if it is no answer to that.
    pub(super) fn read(text: &str, id: &str) -> Option<Result<Self, ErrorCode>> {
        let (message_type, data) = answer::<Data<'_>>(text, id)?;
        match message_type {
            "lock:granted" => {
                let token = data.token?.to_owned();
                Some(Ok(Self::Granted { token, fence: data.fence, ttl_ms: data.ttl_ms }))
            }
            "lock:released" => Some(Ok(Self::Released)),
            "lock:denied" => Some(Ok(Self::Denied { retry_after_ms: data.retry_after_ms })),
            "system:error" => data.code.map(Err),
            _ => None,
        }
    }
}

/// How locks are asked for in a run. All names in it are plain: nothing has to be escaped.
#[derive(Debug)]
pub(super) struct Wording {
    /// What the names of resources begin with.
    pub(super) prefix: String,
    pub(super) ttl_ms: u32,
    pub(super) wait_ms: u64,
}

impl Wording {
    pub(super) fn acquire(&self, id: &str, resource: u32, request: u64) -> String {
        let Self { prefix, ttl_ms, wait_ms } = self;
        format!(
            r#"{{"id":"{id}","type":"lock:acquire","data":{{"resource":"{prefix}{resource}","ttl_ms":{ttl_ms},"wait_ms":{wait_ms},"request_id":"{request}"}}}}"#
        )
    }

    pub(super) fn renew(&self, id: &str, resource: u32, token: &str) -> String {
        self.proof("renew", id, resource, token)
    }

    pub(super) fn release(&self, id: &str, resource: u32, token: &str) -> String {
        self.proof("release", id, resource, token)
    }

    fn proof(&self, verb: &str, id: &str, resource: u32, token: &str) -> String {
        let prefix = &self.prefix;
        format!(
            r#"{{"id":"{id}","type":"lock:{verb}","data":{{"resource":"{prefix}{resource}","token":"{token}"}}}}"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signalbox_client::protocol::Resource;
    use signalbox_client::protocol::control::{LockAcquire, LockProof};
    use signalbox_client::protocol::envelope::Incoming;

    fn data<'a, T: Deserialize<'a>>(text: &'a str, message_type: &str) -> T {
        let envelope = Incoming::parse(text).expect("it is an envelope");
        assert_eq!((envelope.message_type.as_ref(), envelope.answer_to()), (message_type, Some("5")));
        serde_json::from_str(envelope.data.expect("it has data").get()).expect("it is the command's data")
    }

    #[test]
    fn questions_are_commands_of_the_protocol() {
        let wording = Wording { prefix: "load-".to_owned(), ttl_ms: 700, wait_ms: 9 };
        let acquire: LockAcquire = data(&wording.acquire("5", 3, 12), "lock:acquire");
        assert_eq!((acquire.resource.as_str(), acquire.ttl_ms, acquire.wait_ms), ("load-3", 700, 9));
        assert_eq!(acquire.request_id.expect("it has one").as_str(), "12");
        let proof = LockProof { resource: Resource::try_new("load-3").unwrap(), token: "secret".to_owned() };
        assert_eq!(data::<LockProof>(&wording.renew("5", 3, "secret"), "lock:renew"), proof);
        assert_eq!(data::<LockProof>(&wording.release("5", 3, "secret"), "lock:release"), proof);
    }

    #[test]
    fn answers_are_read_and_told_from_other_frames() {
        let frame = |message_type: &str, to: &str, data: &str| {
            format!(
                r#"{{"id":"0192","type":"{message_type}","timestamp":"2026-01-01T08:00:00.000Z","source":"service:signalbox","data":{data},"target":"connection:x","correlationId":"{to}","metadata":{{}}}}"#
            )
        };
        let granted = r#"{"resource":"load-3","token":"ab","fence":7,"ttl_ms":700}"#;
        let denied = r#"{"resource":"load-3","held_by":"vehicle:V1","retry_after_ms":40}"#;
        let fault =
            r#"{"code":"outcome_unknown","message":"say \"it\" again","retryable":true,"details":null}"#;
        let secret = Reply::Granted { token: "ab".to_owned(), fence: 7, ttl_ms: 700 };
        for (message_type, to, data, expected) in [
            ("lock:granted", "5", granted, Some(Ok(secret))),
            ("lock:granted", "6", granted, None),
            ("lock:released", "5", r#"{"resource":"load-3"}"#, Some(Ok(Reply::Released))),
            ("lock:denied", "5", denied, Some(Ok(Reply::Denied { retry_after_ms: 40 }))),
            ("system:error", "5", fault, Some(Err(ErrorCode::OutcomeUnknown))),
            ("load:tick", "5", "[1]", None),
        ] {
            assert_eq!(Reply::read(&frame(message_type, to, data), "5"), expected, "{message_type} {to}");
        }
        assert_eq!(Reply::read("garbage", "5"), None);
    }
}
