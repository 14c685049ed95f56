//! Which message answers which question, and what the end of a connection means to each.

use super::*;

fn message(message_type: &str, source: &str, correlation_id: &str) -> Received {
    let text = format!(
        r#"{{"id":"1","type":"{message_type}","timestamp":"","source":"{source}","data":{{}},
             "correlationId":"{correlation_id}","metadata":{{}}}}"#
    );
    serde_json::from_str(&text).expect("it is a message")
}

fn ask(pending: &mut Pending, awaits: Awaits) -> (Uuid, oneshot::Receiver<Answer>) {
    let (asker, answer) = oneshot::channel();
    let id = Uuid::now_v7();
    pending.ask(Question { id, awaits, fate: Arc::default(), asker }, "text");
    (id, answer)
}

fn pending() -> Pending {
    let mut pending = Pending::default();
    pending.set_own_source("vehicle:me");
    pending
}

#[test]
fn each_kind_of_question_knows_its_answer() {
    let durable = || Awaits::answer_to("boarding:request_made_up");
    for (awaits, message_type, source, answers) in [
        (Awaits::Ack, "system:ack", "gateway:n1", true),
        (Awaits::Ack, "order:accepted", "driver:1", false),
        (Awaits::answer_to("system:stats"), "system:stats", "gateway:n1", true),
        (Awaits::answer_to("system:subscribe"), "system:ack", "gateway:n1", true),
        (durable(), "system:ack", "gateway:n1", false),
        (durable(), "boarding:request_made_up", "vehicle:me", false),
        (durable(), "boarding:request_made_up", "vehicle:other", true),
        (durable(), "boarding:answered", "vehicle:me", true),
    ] {
        let mut pending = pending();
        let (id, mut answer) = ask(&mut pending, awaits.clone());
        let rest = pending.answer(message(message_type, source, &id.to_string()));
        assert_eq!(rest.is_none(), answers, "{awaits:?} {message_type} {source}");
        assert_eq!(answer.try_recv().is_ok(), answers, "{awaits:?} {message_type} {source}");
    }
}

#[test]
fn an_error_answers_every_kind() {
    for awaits in [Awaits::Ack, Awaits::Reply, Awaits::answer_to("a:b")] {
        let mut pending = pending();
        let (id, mut answer) = ask(&mut pending, awaits);
        let text = format!(
            r#"{{"id":"1","type":"system:error","timestamp":"","source":"gateway:n1","correlationId":"{id}",
                 "data":{{"code":"not_found","message":"nobody","retryable":false,"details":null}},
                 "metadata":{{}}}}"#
        );
        assert!(pending.answer(serde_json::from_str(&text).unwrap()).is_none());
        let refused = answer.try_recv().unwrap();
        assert!(matches!(refused, Err(NoAnswer::Refused(fault)) if fault.message == "nobody"));
    }
}

#[test]
fn an_answer_to_nobody_is_given_back() {
    let mut pending = pending();
    let (id, answer) = ask(&mut pending, Awaits::Reply);
    assert!(pending.answer(message("a:b", "c:d", "not a uuid")).is_some());
    assert!(pending.answer(message("a:b", "c:d", &Uuid::now_v7().to_string())).is_some());
    drop(answer);
    let late = pending.answer(message("a:b", "c:d", &id.to_string()));
    assert!(late.is_some(), "the asker has gone");
    assert!(pending.answer(message("a:b", "c:d", &id.to_string())).is_some(), "answered twice");
}

#[test]
fn the_end_of_a_connection_is_no_end_for_every_question() {
    let mut pending = pending();
    let (_first, mut first) = ask(&mut pending, Awaits::Topics(Change::Join));
    let (_, mut ack) = ask(&mut pending, Awaits::Ack);
    let (_, mut reply) = ask(&mut pending, Awaits::answer_to("system:stats"));
    let (second_id, _second) = ask(&mut pending, Awaits::Topics(Change::Leave));
    let (message_id, mut answer) = ask(&mut pending, Awaits::answer_to("test:question"));
    drop(ask(&mut pending, Awaits::Topics(Change::Join)));
    let again = pending.disconnected(&crate::CloseCause::Lost(None).into());
    let changes: Vec<_> = again.iter().map(|(question, text)| (&question.awaits, text.as_str())).collect();
    assert_eq!(
        changes,
        [(&Awaits::Topics(Change::Join), "text"), (&Awaits::Topics(Change::Leave), "text")],
        "in order, and not that which nobody waits for"
    );
    assert!(again.iter().any(|(question, _)| question.id == second_id));
    for lost in [&mut ack, &mut reply] {
        assert!(matches!(lost.try_recv().unwrap(), Err(NoAnswer::Lost(_))));
    }
    assert!(first.try_recv().is_err(), "it is asked again");
    assert!(pending.answer(message("test:answer", "driver:1", &message_id.to_string())).is_none());
    assert!(answer.try_recv().unwrap().is_ok(), "it was sent to the agent, which is back");
}

#[test]
fn an_acknowledged_change_of_topics_is_told_also_if_nobody_waits() {
    let mut pending = pending();
    let (id, _) = ask(&mut pending, Awaits::Topics(Change::Leave));
    assert_eq!(pending.change_of(&message("system:ack", "gateway:n1", &id.to_string())), Some(Change::Leave));
    assert_eq!(pending.change_of(&message("system:error", "gateway:n1", &id.to_string())), None);
    assert_eq!(pending.change_of(&message("system:ack", "gateway:n1", &Uuid::nil().to_string())), None);
}

#[test]
fn abandoned_questions_are_swept_out() {
    let mut pending = pending();
    let kept: Vec<_> = (0..100).map(|_| ask(&mut pending, Awaits::Reply)).collect();
    for _ in 0..1_000 {
        drop(ask(&mut pending, Awaits::Reply));
        assert!(pending.questions.len() <= 2 * kept.len() + SWEEP_FROM);
    }
    drop(kept);
    for _ in 0..1_000 {
        drop(ask(&mut pending, Awaits::Reply));
    }
    assert!(pending.questions.len() <= SWEEP_FROM);
}
