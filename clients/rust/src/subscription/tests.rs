//! What a queue drops, what it keeps, and when it is full.

use super::*;
use crate::closed::CloseCause;
use crate::event::LossReason;
use signalbox_protocol::Topic;

fn item(number: usize, bytes: usize, offset: &str) -> Item {
    let data = "x".repeat(bytes - 2);
    let text = format!(
        r#"{{"id":"{number}","type":"a:b","timestamp":"","source":"s:s","data":"{data}","metadata":{{}},"offset":{offset}}}"#
    );
    Item::Message(Arc::new(serde_json::from_str(&text).expect("it is a message")))
}

fn ephemeral(number: usize, bytes: usize) -> Item {
    item(number, bytes, "null")
}

fn durable(number: usize) -> Item {
    item(number, 10, "7")
}

fn lost() -> Item {
    let topic = Topic::try_new("route:1").expect("it is a topic");
    Item::Lost(Arc::new(Lost { topic, reason: LossReason::Trimmed }))
}

fn queue(messages_max: usize) -> (Arc<Inbox>, Subscription) {
    let inbox = Arc::new(Inbox::new(messages_max, 1_000));
    (Arc::clone(&inbox), Subscription::new(inbox))
}

fn read(subscription: &mut Subscription) -> String {
    match subscription.try_recv() {
        None => "nothing".to_owned(),
        Some(Ok(message)) => message.id.clone(),
        Some(Err(RecvError::Missed(count))) => format!("missed {count}"),
        Some(Err(RecvError::Lost(lost))) => format!("lost {}", lost.topic),
        Some(Err(RecvError::Closed(_))) => "closed".to_owned(),
    }
}

fn read_all<const N: usize>(mut subscription: Subscription) -> [String; N] {
    [(); N].map(|()| read(&mut subscription))
}

const NONE: Offer = Offer::Taken { dropped: 0 };
const ONE: Offer = Offer::Taken { dropped: 1 };

#[test]
fn a_full_queue_drops_the_oldest_and_says_so_before_the_next() {
    let (inbox, subscription) = queue(2);
    for number in 1..=5 {
        inbox.offer(&ephemeral(number, 10));
    }
    assert_eq!(read_all(subscription), ["missed 3", "4", "5", "nothing"]);
}

#[test]
fn the_queue_is_bounded_in_bytes_but_takes_one_message_of_any_size() {
    let (inbox, subscription) = queue(100);
    let offers = [(1, 5_000), (2, 400), (3, 400), (4, 400)]
        .map(|(number, bytes)| inbox.offer(&ephemeral(number, bytes)));
    assert_eq!(offers, [NONE, ONE, NONE, ONE]);
    assert_eq!(read_all(subscription), ["missed 2", "3", "4", "nothing"]);
}

#[test]
fn durable_messages_are_never_dropped_and_ephemeral_ones_make_room_for_them() {
    let (inbox, mut subscription) = queue(3);
    let offers = [durable(1), ephemeral(2, 10), durable(3), durable(4), durable(5), ephemeral(6, 10), lost()];
    let offers = offers.map(|item| inbox.offer(&item));
    assert_eq!(offers, [NONE, NONE, NONE, ONE, Offer::Full, ONE, Offer::Full]);
    assert_eq!(["missed 2", "1"], [(); 2].map(|()| read(&mut subscription)).as_slice());
    assert_eq!(inbox.offer(&durable(5)), NONE, "there is room again");
    assert_eq!(read_all(subscription), ["3", "4", "5", "nothing"]);
}

#[test]
fn a_loss_is_told_in_its_place() {
    let (inbox, subscription) = queue(3);
    for item in [durable(1), lost(), durable(2)] {
        assert_eq!(inbox.offer(&item), NONE);
    }
    assert_eq!(read_all(subscription), ["1", "lost route:1", "2", "nothing"]);
}

#[tokio::test]
async fn a_reader_that_takes_or_goes_makes_room() {
    let (inbox, mut subscription) = queue(1);
    inbox.offer(&durable(1));
    assert_eq!(inbox.offer(&durable(2)), Offer::Full);
    let ((), first) = tokio::join!(inbox.room(), subscription.recv());
    assert_eq!(first.unwrap().id, "1");
    inbox.offer(&durable(2));
    assert_eq!(inbox.offer(&durable(3)), Offer::Full);
    let ((), ()) = tokio::join!(inbox.room(), async { drop(subscription) });
    assert_eq!(inbox.offer(&durable(3)), NONE, "nobody waits for it");
    assert!(inbox.is_left());
}

#[tokio::test]
async fn the_end_comes_after_what_was_queued() {
    let (inbox, mut subscription) = queue(2);
    let (first, ()) = tokio::join!(subscription.recv(), async {
        inbox.offer(&ephemeral(1, 10));
        inbox.close(CloseCause::ByClient.into());
        inbox.close(CloseCause::Lost(None).into());
    });
    assert_eq!(first.unwrap().id, "1");
    for _ in 0..2 {
        let end = subscription.recv().await.unwrap_err();
        assert!(
            matches!(end, RecvError::Closed(Closed { cause: CloseCause::ByClient, .. })),
            "the first reason stays: {end:?}"
        );
    }
}
