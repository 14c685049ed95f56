//! The outbox's promises: bounds, order, what is dropped first.

use std::future::poll_fn;

use proptest::prelude::*;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::queue::PRESSURE_MESSAGES;
use super::*;
use crate::ws::stream::SharedStream;

const ROOMY: Bounds = Bounds { messages_max: 1_000, bytes_max: 1 << 20 };

fn frame(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn plain() -> Keep {
    Keep::Ephemeral { conflation: 0 }
}

fn take_one(outbox: &Outbox, batch: &mut Vec<Bytes>, frames_max: usize) -> (usize, bool) {
    let taken = outbox.take(batch, frames_max, 9);
    (taken.messages.messages(), taken.is_last)
}

fn drain(outbox: &Outbox) -> Vec<String> {
    let mut batch = Vec::new();
    while outbox.take(&mut batch, usize::MAX, usize::MAX).messages.messages() > 0 {}
    batch.iter().map(|frame| String::from_utf8(frame.to_vec()).unwrap()).collect()
}

#[test]
fn frames_come_out_in_the_order_they_went_in() {
    let outbox = Outbox::new(ROOMY);
    for text in ["a", "b", "c"] {
        assert_eq!(outbox.push(frame(text), plain()), Pushed::Queued);
    }
    outbox.push_front(frame("welcome"));
    assert_eq!(drain(&outbox), ["welcome", "a", "b", "c"]);
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn a_client_a_moment_behind_gets_every_position() {
    let outbox = Outbox::new(ROOMY);
    for _ in 0..PRESSURE_MESSAGES {
        assert_eq!(outbox.push(frame("p"), Keep::Ephemeral { conflation: 7 }), Pushed::Queued);
    }
    assert_eq!(outbox.push(frame("p"), Keep::Ephemeral { conflation: 7 }), Pushed::Conflated);
}

#[test]
fn under_pressure_the_newest_of_a_key_survives_behind_what_came_between() {
    let outbox = Outbox::new(ROOMY);
    for _ in 0..PRESSURE_MESSAGES {
        outbox.push(frame("x"), plain());
    }
    outbox.push(frame("old"), Keep::Ephemeral { conflation: 7 });
    outbox.push(frame("between"), plain());
    assert_eq!(outbox.push(frame("new"), Keep::Ephemeral { conflation: 7 }), Pushed::Conflated);
    let rest = drain(&outbox).split_off(PRESSURE_MESSAGES);
    assert_eq!(rest, ["between", "new"]);
}

#[test]
fn beyond_the_bound_the_oldest_ephemeral_goes_and_answers_stay() {
    let outbox = Outbox::new(Bounds { messages_max: 3, bytes_max: 1 << 20 });
    outbox.push(frame("answer"), Keep::Always);
    outbox.push(frame("one"), plain());
    outbox.push(frame("two"), plain());
    assert_eq!(outbox.push(frame("three"), plain()), Pushed::Displaced(1));
    assert_eq!(drain(&outbox), ["answer", "two", "three"]);
}

#[test]
fn an_answer_that_does_not_fit_closes_the_slow_consumer() {
    let outbox = Outbox::new(Bounds { messages_max: 2, bytes_max: 1 << 20 });
    outbox.push(frame("a"), Keep::Always);
    outbox.push(frame("b"), Keep::Always);
    assert_eq!(outbox.push(frame("news"), plain()), Pushed::Dropped);
    assert_eq!(outbox.push(frame("c"), Keep::Always), Pushed::Overflow);
    assert_eq!(outbox.push(frame("d"), Keep::Always), Pushed::Closing);
    assert_eq!(outbox.closing(), Some(CloseCode::SlowConsumer));
    let taken = outbox.take(&mut Vec::new(), 9, 9);
    assert_eq!((taken.messages.messages(), taken.is_last), (2, true), "the close comes after what had room");
}

#[test]
fn what_is_offered_waits_for_room_and_loses_nothing() {
    let outbox = Outbox::new(Bounds { messages_max: 2, bytes_max: 10 });
    assert_eq!(outbox.offer(frame(&"x".repeat(100))), Ok(()), "an empty one takes everything");
    assert_eq!(outbox.offer(frame("y")), Err(frame("y")));
    assert_eq!(outbox.closing(), None);
    assert_eq!(drain(&outbox), ["x".repeat(100)]);
    assert_eq!(outbox.offer(frame("y")), Ok(()));
}

#[test]
fn an_empty_outbox_takes_one_message_however_large() {
    let outbox = Outbox::new(Bounds { messages_max: 3, bytes_max: 10 });
    assert_eq!(outbox.push(frame(&"x".repeat(100)), plain()), Pushed::Queued);
    assert_eq!(outbox.push(frame("y"), plain()), Pushed::Displaced(1));
    assert_eq!(drain(&outbox), ["y"]);
}

#[test]
fn control_frames_have_a_place_beside_a_full_queue() {
    let outbox = Outbox::new(Bounds { messages_max: 1, bytes_max: 1 });
    outbox.push(frame("full"), Keep::Always);
    outbox.ping_for_flush();
    outbox.pong(frame("first"));
    outbox.pong(frame("second"));
    let mut batch = Vec::new();
    assert_eq!(outbox.take(&mut batch, 9, 9).messages.messages(), 1);
    assert_eq!(batch, [frame("second"), crate::ws::frame::ping(), frame("full")]);
}

#[test]
fn the_close_comes_after_what_was_queued() {
    let outbox = Outbox::new(ROOMY);
    outbox.push(frame("a"), plain());
    outbox.push(frame("b"), plain());
    outbox.close(CloseCode::ServiceRestart);
    outbox.close(CloseCode::SlowConsumer);
    assert_eq!(outbox.push(frame("c"), plain()), Pushed::Closing);
    let mut batch = Vec::new();
    assert_eq!(take_one(&outbox, &mut batch, 1), (1, false));
    assert_eq!(take_one(&outbox, &mut batch, 2), (1, true));
    assert_eq!(outbox.closing(), Some(CloseCode::ServiceRestart));
}

proptest! {
    /// Whatever is pushed and taken: bounds hold, every key's newest survives, order is kept, and
    /// what is missing is exactly what was reported as lost.
    #[test]
    fn bounds_order_and_accounts_hold(steps in proptest::collection::vec((0_u64..6, 1_usize..40, 0_u8..10), 1..600)) {
        let bounds = Bounds { messages_max: 50, bytes_max: 1_000 };
        let outbox = Outbox::new(bounds);
        let (mut lost, mut got) = (0, Vec::new());
        for (number, (conflation, bytes, take)) in steps.iter().enumerate() {
            let text = format!("{number:05}.{conflation}.{}", "x".repeat(*bytes));
            match outbox.push(frame(&text), Keep::Ephemeral { conflation: *conflation }) {
                Pushed::Queued => {}
                Pushed::Conflated => lost += 1,
                Pushed::Displaced(count) => lost += count as usize,
                other => prop_assert!(false, "{other:?}"),
            }
            prop_assert!(outbox.bytes() <= bounds.bytes_max);
            if *take == 0 {
                let frames_max = got.len() + 3;
                outbox.take(&mut got, frames_max, usize::MAX);
            }
        }
        let last_of_keys: Vec<String> = (1..6_u64)
            .filter_map(|key| steps.iter().rposition(|step| step.0 == key).map(|number| format!("{number:05}")))
            .collect();
        while outbox.take(&mut got, usize::MAX, usize::MAX).messages.messages() > 0 {}
        let numbers: Vec<String> = got.iter().map(|f| String::from_utf8_lossy(&f[..5]).into_owned()).collect();
        prop_assert!(numbers.is_sorted());
        prop_assert_eq!(numbers.len() + lost, steps.len());
        // The very last message always survives; the newest of each key does unless newer ones displaced it.
        prop_assert_eq!(numbers.last().cloned(), Some(format!("{:05}", steps.len() - 1)));
        prop_assert_eq!(outbox.bytes(), 0);
        let survivors = last_of_keys.iter().filter(|number| numbers.contains(number)).count();
        prop_assert!(survivors >= 1 || last_of_keys.is_empty() || lost > 0);
    }
}

#[tokio::test]
async fn what_the_socket_does_not_take_at_the_opening_is_written_by_the_task_behind_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (far, near) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (mut far, near) = (far.unwrap(), near.unwrap().0);
    let outbox = Outbox::new(Bounds { messages_max: 10, bytes_max: 64 << 20 });
    // More than both ends of a socket hold.
    let welcome = vec![b'w'; 32 << 20];
    outbox.push_front(welcome.clone().into());
    let mut io = SharedStream::new(near);
    let wrote = outbox.open(io.share(), Bytes::from_static(b"answer "));
    assert_eq!((wrote.messages.messages(), wrote.writes), (1, 1));
    assert!(!outbox.line().writing.is_empty() && wrote.bytes < welcome.len(), "{wrote:?}");
    let writing = async {
        while !outbox.line().writing.is_empty() {
            poll_fn(|cx| outbox.line().writing.poll_write(&mut io, cx)).await.unwrap();
        }
    };
    let mut got = vec![0; b"answer ".len() + welcome.len()];
    let (read, ()) = tokio::join!(far.read_exact(&mut got), writing);
    read.unwrap();
    assert!(got.strip_prefix(b"answer ") == Some(&welcome[..]));
}
