use super::*;
use signalbox_client::protocol::Target;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn hear(observed: &mut Observed, receiver: usize, text: &str) -> bool {
    observed.heard(receiver, text.as_bytes(), Instant::now())
}

fn message(number: u64, due: Duration) -> String {
    let tick = Tick { from: 0, number, due_ns: due.as_nanos() as u64 };
    tick.message(&Target::Default, 100)
}

#[tokio::test(start_paused = true)]
async fn only_what_was_due_in_the_measured_part_is_measured() {
    let timeline = Timeline::starting_now(seconds(2), seconds(10));
    let observed = Observed::new(timeline, 1, 1);
    for number in 0..15 {
        tokio::time::advance(seconds(1)).await;
        let mut observed = observed.borrow_mut();
        observed.sent(0, seconds(number));
        assert!(hear(&mut observed, 0, &message(number, seconds(number))));
    }
    let mut observed = observed.borrow_mut();
    assert_eq!((observed.delivered(), observed.sent_in_all()), (15, 15));
    assert_eq!(observed.send_lags().count(), 10);
    assert_eq!(observed.latencies().count(), 10);
    assert!(observed.latencies().quantile(0.5).abs_diff(seconds(1)) < Duration::from_millis(2));
    assert!(observed.findings(|receiver| receiver).is_clean());
}

#[tokio::test(start_paused = true)]
async fn who_hears_several_senders_misses_what_one_of_them_lost() {
    let timeline = Timeline::starting_now(seconds(0), seconds(10));
    let observed = Observed::by_sender(timeline, 2, 2);
    let mut observed = observed.borrow_mut();
    let said = |from, number| Tick { from, number, due_ns: 0 }.message(&Target::Default, 100);
    for sender in [0, 1] {
        observed.sent(sender, seconds(0));
        observed.sent(sender, seconds(0));
    }
    for (receiver, from, number) in [(0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 1, 1)] {
        assert!(hear(&mut observed, receiver, &said(from, number)));
    }
    assert!(observed.findings_by_sender(|receiver, _| receiver == 0).duplicated == 1);
    let findings = observed.findings_by_sender(|receiver, sender| receiver == 0 || sender == 1);
    assert_eq!((findings.lost, findings.duplicated, findings.reordered), (1, 0, 0));
    assert!(!hear(&mut observed, 0, &said(7, 0)), "there is no such sender");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_delivery_is_an_error_and_what_never_came_is_lost() {
    let timeline = Timeline::starting_now(seconds(0), seconds(10));
    let observed = Observed::new(timeline, 1, 3);
    let mut observed = observed.borrow_mut();
    for number in 0..4 {
        observed.sent(0, seconds(number));
        hear(&mut observed, 0, &message(number, seconds(0)));
    }
    hear(&mut observed, 1, &message(2, seconds(0)));
    let findings = observed.findings(|_| 0);
    assert_eq!((findings.lost, findings.duplicated), (3 + 4, 0));
    assert!(observed.errors().is_none());
    assert!(!hear(&mut observed, 1, r#"{"type":"system:error","data":{"code":"not_found"}}"#));
    assert!(!hear(&mut observed, 1, "garbage"));
    assert_eq!(observed.errors().map(|(count, first)| (count, first.contains("not_found"))), Some((2, true)));
}
