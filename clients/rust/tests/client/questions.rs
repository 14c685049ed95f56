//! Acknowledgements, requests and answers.

use std::time::Duration;

use serde_json::{Value, json};
use signalbox_client::protocol::{ErrorCode, Topic};
use signalbox_client::{RequestError, SendError, Unanswered};

use crate::fake_node::{FakeNode, connected, soon};

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_acknowledged_event_tells_its_positions() {
    let (client, mut peer) = connected().await;
    let answering = async {
        let event = peer.receive().await;
        assert_eq!(event["metadata"], json!({"ack": true}));
        assert_eq!(event["correlationId"], Value::Null, "it is no request to its receivers");
        let data = json!({"id": event["id"], "positions": {"route:12": {"epoch": "e", "offset": 3}}});
        peer.send(json!({"type": "system:ack", "correlationId": event["id"], "data": data})).await;
        event
    };
    let (ack, event) = tokio::join!(client.emit_acked("order:new", json!({}), "route:12"), answering);
    let ack = ack.unwrap();
    assert_eq!(ack.id, event["id"]);
    assert_eq!(ack.positions[&Topic::try_new("route:12").unwrap()].offset, 3);
}

#[tokio::test]
async fn a_refusal_is_the_answer_to_any_question() {
    let (client, mut peer) = connected().await;
    let refusing = async {
        for _ in 0..3 {
            let question = peer.receive().await;
            let id = question["correlationId"].as_str().or(question["id"].as_str()).unwrap().to_owned();
            let fault =
                json!({"code": "not_found", "message": "nobody", "retryable": false, "details": null});
            peer.send(json!({"type": "system:error", "correlationId": id, "data": fault})).await;
        }
    };
    let asking = async {
        [
            client.emit_acked("a:b", (), "vehicle:V2").await.unwrap_err(),
            client.request("a:b", (), "vehicle:V2", LIMIT).await.unwrap_err(),
            client.subscribe("route:12").await.unwrap_err(),
        ]
    };
    let (errors, ()) = tokio::join!(asking, refusing);
    for error in errors {
        let RequestError::Refused(fault) = error else { panic!("{error}") };
        assert_eq!((fault.code, &*fault.message), (ErrorCode::NotFound, "nobody"));
    }
    assert_eq!(client.stats().errors, 3);
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let (client, mut peer) = connected().await;
    let mut any = client.on_any();
    let answering = async {
        let (first, second) = (peer.receive().await, peer.receive().await);
        for request in [second, first] {
            let answer = json!({"type": "test:answer", "source": "vehicle:V2", "data": request["data"],
                "correlationId": request["correlationId"]});
            peer.send(answer).await;
        }
    };
    let ask = |number: u64| client.request("test:question", number, "vehicle:V2", LIMIT).await_ok();
    let (one, two, ()) = tokio::join!(ask(1), ask(2), answering);
    assert_eq!((one, two), (1, 2));
    assert!(any.try_recv().is_none(), "answers go to who asked");
}

/// Waits for an answer and reads the number in it.
trait AwaitOk {
    async fn await_ok(self) -> u64;
}

impl<F: Future<Output = Result<signalbox_client::Received, RequestError>>> AwaitOk for F {
    async fn await_ok(self) -> u64 {
        soon(self).await.expect("it was answered").data().expect("it is a number")
    }
}

#[tokio::test]
async fn the_acknowledgement_of_a_durable_request_is_not_its_answer() {
    let (client, mut peer) = connected().await;
    let mut any = client.on_any();
    let answering = async {
        let request = peer.receive().await;
        let id = request["correlationId"].clone();
        peer.send(json!({"type": "system:ack", "correlationId": id, "data": {}})).await;
        let echo = json!({"type": "order:new", "source": "vehicle:V1", "correlationId": id});
        peer.send(echo).await;
        peer.send(json!({"type": "order:seen", "source": "driver:1", "correlationId": id, "data": 9})).await;
    };
    let asking = client.request("order:new", (), "route:12", LIMIT).await_ok();
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer, 9);
    assert_eq!(soon(any.recv()).await.unwrap().message_type, "order:new");
}

#[tokio::test]
async fn a_command_is_answered_by_the_gateway() {
    let (client, mut peer) = connected().await;
    let answering = async {
        let request = peer.receive().await;
        assert_eq!((&request["type"], &request["target"]), (&json!("system:stats"), &Value::Null));
        peer.send(json!({"type": "system:stats", "correlationId": request["correlationId"], "data": 5}))
            .await;
    };
    let asking = client.request("system:stats", json!({}), None, LIMIT).await_ok();
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer, 5);
}

#[tokio::test]
async fn a_question_without_an_answer_times_out_and_a_late_answer_is_an_event() {
    let node = FakeNode::start().await;
    let limit = Duration::from_millis(50);
    let (client, mut peer) = node.welcome(node.config().request_timeout(limit)).await;
    let mut any = client.on_any();
    let error = client.request("a:b", (), "vehicle:V2", limit).await.unwrap_err();
    assert!(matches!(error, RequestError::Unknown(Unanswered::Timeout(_))), "{error}");
    let error = client.emit_acked("a:b", (), "vehicle:V2").await.unwrap_err();
    assert!(matches!(error, RequestError::Unknown(Unanswered::Timeout(_))), "{error}");
    let request = peer.receive().await;
    peer.send(json!({"type": "test:late", "correlationId": request["correlationId"]})).await;
    assert_eq!(soon(any.recv()).await.unwrap().message_type, "test:late");
}

#[tokio::test]
async fn the_number_of_open_questions_is_bounded() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.welcome(node.config().pending_requests_max(1)).await;
    let first = client.request("a:b", (), "vehicle:V2", LIMIT);
    let second = async {
        let request = peer.receive().await;
        let error = client.request("a:b", (), "vehicle:V2", LIMIT).await.unwrap_err();
        peer.send(json!({"type": "a:c", "correlationId": request["correlationId"]})).await;
        error
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok());
    assert!(matches!(second, RequestError::TooMany(1)), "{second}");
}

#[tokio::test]
async fn subscribing_waits_for_the_ack_and_tells_the_positions() {
    let (client, mut peer) = connected().await;
    let answering = async {
        for command in ["system:subscribe", "system:unsubscribe"] {
            let request = peer.receive().await;
            assert_eq!(request["type"], command);
            assert_eq!(request["data"], json!({"topics": ["route:12", "depot:4"]}));
            let data = json!({"topics": {"route:12": {"epoch": "e", "offset": 4}}});
            peer.send(json!({"type": "system:ack", "correlationId": request["correlationId"], "data": data}))
                .await;
        }
    };
    let asking = async {
        let joined = client.subscribe(["route:12", "depot:4"]).await.unwrap();
        let left = client.unsubscribe(["route:12", "depot:4"]).await.unwrap();
        (joined, left)
    };
    let ((joined, left), ()) = tokio::join!(asking, answering);
    assert_eq!(joined.values().next().unwrap().offset, 4);
    assert_eq!(joined, left);
}

#[tokio::test]
async fn a_request_is_answered_to_its_sender() {
    let (client, mut peer) = connected().await;
    let mut questions = client.on("test:question");
    for correlation_id in [json!("q1"), Value::Null] {
        let question =
            json!({"type": "test:question", "source": "driver:7", "correlationId": correlation_id});
        peer.send(question).await;
    }
    let question = soon(questions.recv()).await.unwrap();
    client.respond(&question, "test:answer", 5).await.unwrap();
    let answer = json!({"type": "test:answer", "data": 5, "target": "driver:7", "correlationId": "q1"});
    assert_eq!(peer.receive().await, answer);

    let event = soon(questions.recv()).await.unwrap();
    let error = client.respond(&event, "test:answer", 5).await.unwrap_err();
    assert!(matches!(error, SendError::NotARequest), "{error}");
}
