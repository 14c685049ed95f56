//! The bounds of the outbox, and who is woken.

use super::*;
use std::time::Duration;
use tokio::time::timeout;

fn command(bytes: usize) -> Command {
    Command::Plain(Plain { text: "x".repeat(bytes), question: None, price: 0 })
}

async fn has_room(outbox: &Outbox, bytes: usize) -> bool {
    timeout(Duration::from_secs(1), outbox.push(command(bytes))).await.is_ok()
}

/// Takes the next message as if it were written at once; its bytes.
fn write(outbox: &Outbox) -> Option<usize> {
    let Command::Plain(plain) = outbox.take()? else { panic!("it was pushed as a plain one") };
    outbox.release(plain.price);
    Some(plain.text.len())
}

#[tokio::test(start_paused = true)]
async fn it_is_bounded_in_messages_and_in_bytes() {
    let outbox = Outbox::new(2, 100);
    assert!(has_room(&outbox, 1).await && has_room(&outbox, 1).await);
    assert!(!has_room(&outbox, 1).await, "a third message");
    assert_eq!(outbox.try_push(command(1)), Err(PushError::Full));
    write(&outbox);
    write(&outbox);
    assert!(has_room(&outbox, 60).await);
    assert!(!has_room(&outbox, 60).await, "bytes 61 to 120");
    assert_eq!(outbox.try_push(command(60)), Err(PushError::Full));
    assert_eq!(outbox.try_push(command(40)), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_keeps_its_room_until_it_is_over() {
    let outbox = Outbox::new(1, 100);
    assert!(has_room(&outbox, 60).await);
    let Some(Command::Plain(taken)) = outbox.take() else { panic!("it was pushed") };
    assert!(!has_room(&outbox, 1).await);
    outbox.release(taken.price);
    assert!(has_room(&outbox, 100).await);
}

#[tokio::test(start_paused = true)]
async fn an_empty_outbox_takes_one_message_however_large() {
    let outbox = Outbox::new(2, 100);
    assert!(has_room(&outbox, 1_000).await);
    assert!(!has_room(&outbox, 1).await);
    assert_eq!(write(&outbox), Some(1_000));
    assert!(has_room(&outbox, 100).await);
}

#[tokio::test(start_paused = true)]
async fn a_push_that_gave_up_takes_no_room() {
    let outbox = Outbox::new(1, 100);
    assert!(has_room(&outbox, 100).await);
    assert!(!has_room(&outbox, 100).await);
    write(&outbox);
    assert!(has_room(&outbox, 100).await);
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_before_the_end_is_still_taken() {
    let outbox = Outbox::new(2, 100);
    outbox.push(command(1)).await.unwrap();
    outbox.finish();
    assert_eq!(outbox.push(command(1)).await, Err(PushError::Closed));
    assert_eq!(outbox.try_push(command(1)), Err(PushError::Closed));
    outbox.changed(true).await;
    assert_eq!(write(&outbox), Some(1));
    outbox.changed(false).await;
    let again = timeout(Duration::from_secs(1), outbox.changed(true)).await;
    assert!(again.is_err() && outbox.is_finishing());
}

#[tokio::test]
async fn shutting_fails_who_waits_for_room() {
    let outbox = Outbox::new(1, 100);
    outbox.push(command(1)).await.unwrap();
    let (second, ()) = tokio::join!(outbox.push(command(1)), async { outbox.shut() });
    assert_eq!(second, Err(PushError::Closed));
    assert!(outbox.take().is_none());
}

#[tokio::test]
async fn an_abandoned_message_wakes_the_task_once() {
    let outbox = Outbox::new(1, 100);
    let ((), ()) = tokio::join!(outbox.changed(true), async { outbox.abandon() });
    assert!(outbox.take_abandoned());
    assert!(!outbox.take_abandoned());
}
