//! The judge on histories with a planted loss, a duplicate, a swapped pair and a declared gap.

use super::*;

/// One topic, `readers` of it, and so many acknowledged messages.
fn history(readers: usize, messages: usize) -> Oracle {
    let mut oracle = Oracle::new(1, readers);
    for number in 0..messages {
        assert_eq!(oracle.sends(0), number);
        oracle.answered(0, number, Fate::Acknowledged);
    }
    oracle
}

fn read(oracle: &mut Oracle, reader: usize, numbers: &[usize]) {
    for number in numbers {
        assert!(oracle.seen(reader, *number));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clean_history_is_clean() {
    let mut oracle = history(2, 3);
    read(&mut oracle, 0, &[0, 1, 2]);
    assert!(!oracle.is_settled());
    read(&mut oracle, 1, &[0, 1, 2]);
    assert!(oracle.is_settled());
    let verdict = oracle.verdict();
    assert_eq!((verdict.sent, verdict.acknowledged, verdict.delivered), (3, 3, 6));
    assert_eq!(verdict.failures(), Vec::<String>::new());
    assert_eq!(verdict.never_told, 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_is_found_in_the_middle_and_at_the_end() {
    for seen in [&[0, 2][..], &[0, 1], &[1, 2]] {
        let mut oracle = history(1, 3);
        read(&mut oracle, 0, seen);
        assert!(!oracle.is_settled());
        let verdict = oracle.verdict();
        assert_eq!((verdict.lost, verdict.declared_lost), (1, 0), "{seen:?}");
        assert_eq!(verdict.failures().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_and_a_swapped_pair_are_told_apart() {
    for (seen, duplicates, out_of_order) in
        [(&[0, 1, 1, 2][..], 1, 0), (&[0, 1, 2, 0], 1, 0), (&[0, 2, 1], 0, 1), (&[2, 1, 0], 0, 2)]
    {
        let mut oracle = history(1, 3);
        read(&mut oracle, 0, seen);
        let verdict = oracle.verdict();
        assert_eq!((verdict.duplicates, verdict.out_of_order), (duplicates, out_of_order), "{seen:?}");
        assert_eq!((verdict.lost, verdict.delivered), (0, 3));
        assert_eq!(verdict.failures().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_declaration_excuses_what_is_missing_at_its_place_and_nothing_else() {
    // Declared between 0 and 3; 5 is missing without a word.
    let mut oracle = history(1, 7);
    read(&mut oracle, 0, &[0]);
    oracle.declared(0);
    read(&mut oracle, 0, &[3, 4, 6]);
    let verdict = oracle.verdict();
    assert_eq!((verdict.declared_lost, verdict.lost), (2, 1));
    assert_eq!((verdict.declarations, verdict.never_told), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_declaration_at_the_end_excuses_what_was_sent_before_it() {
    let mut oracle = history(1, 3);
    read(&mut oracle, 0, &[0]);
    oracle.declared(0);
    assert!(oracle.is_settled());
    assert_eq!(oracle.sends(0), 3);
    oracle.answered(0, 3, Fate::Acknowledged);
    assert!(!oracle.is_settled(), "what was sent afterwards has to come");
    let verdict = oracle.verdict();
    assert_eq!((verdict.declared_lost, verdict.lost), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn only_what_was_acknowledged_has_to_come() {
    let mut oracle = Oracle::new(1, 1);
    for fate in [Fate::Unknown, Fate::Refused, Fate::Acknowledged] {
        let number = oracle.sends(0);
        assert!(!oracle.is_settled());
        oracle.answered(0, number, fate);
    }
    read(&mut oracle, 0, &[0, 2]);
    assert!(oracle.is_settled());
    assert!(!oracle.seen(0, 3), "nobody sent that");
    let verdict = oracle.verdict();
    assert_eq!((verdict.unknown, verdict.refused, verdict.acknowledged), (1, 1, 1));
    assert!(verdict.failures().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_blackout_is_how_much_later_a_reader_got_what_was_there() {
    let mut oracle = Oracle::new(1, 2);
    let second = Duration::from_secs(1);
    oracle.sends(0);
    tokio::time::advance(second).await;
    read(&mut oracle, 0, &[0]);
    tokio::time::advance(2 * second).await;
    read(&mut oracle, 1, &[0]);
    oracle.answered(0, 0, Fate::Acknowledged);
    let verdict = oracle.verdict();
    assert_eq!(verdict.blackouts.max().as_secs(), 2);
    assert!(verdict.blackouts.quantile(0.5) <= LAG_MIN, "the first reader was not behind");
    assert_eq!(verdict.latencies.max().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_blackout_counts_from_the_first_message_that_never_came() {
    let mut oracle = history(1, 1);
    read(&mut oracle, 0, &[0]);
    for number in 1..=3 {
        tokio::time::advance(Duration::from_secs(1)).await;
        oracle.sends(0);
        oracle.answered(0, number, Fate::Acknowledged);
    }
    oracle.declared(0);
    read(&mut oracle, 0, &[3]);
    assert_eq!(oracle.verdict().blackouts.max().as_secs(), 2);
}
