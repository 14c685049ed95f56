//! What a feed is told to change, step by step.

use super::*;

fn group(id: &str) -> Group {
    (Tenant::try_new("t").unwrap(), Topic::of("route", id).unwrap())
}

fn subscribe(group: Group) -> Steps {
    Steps { subscribe: vec![group], unsubscribe: vec![] }
}

fn unsubscribe(group: Group) -> Steps {
    Steps { subscribe: vec![], unsubscribe: vec![group] }
}

const PATIENCE: Duration = Duration::from_secs(1);
const FEED: FeedId = 0;

impl Followed {
    fn steps_of_all(&self) -> Steps {
        self.steps(FEED, |_| true)
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_first_wish_and_the_last_taken_back_reach_redis() {
    let followed = Followed::new(Arc::default());
    let (first, second) = (followed.want(group("1"), PATIENCE), followed.want(group("1"), PATIENCE));
    let redis = async {
        tokio::task::yield_now().await;
        assert_eq!(followed.steps_of_all(), subscribe(group("1")));
        followed.confirm(FEED, &[group("1")]);
    };
    let (first, second, ()) = tokio::join!(first, second, redis);
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(followed.topics(), [(group("1").0, group("1").1, 2)]);
    followed.unwant(group("1"));
    assert_eq!(followed.steps_of_all(), Steps::default());
    followed.unwant(group("1"));
    assert_eq!(followed.steps_of_all(), unsubscribe(group("1")));
    assert_eq!(followed.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wish_that_is_not_granted_in_time_is_taken_back() {
    let followed = Followed::new(Arc::default());
    assert!(matches!(followed.want(group("1"), PATIENCE).await, Err(Error::Unavailable(None))));
    assert_eq!(followed.topics(), []);
    assert_eq!(followed.steps_of_all(), Steps::default(), "Redis was never told");
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_that_comes_after_the_wish_was_taken_back_is_undone() {
    let followed = Followed::new(Arc::default());
    let redis = async {
        tokio::task::yield_now().await;
        assert_eq!(followed.steps_of_all(), subscribe(group("1")));
    };
    let (late, ()) = tokio::join!(followed.want(group("1"), PATIENCE), redis);
    assert!(late.is_err());
    assert_eq!(followed.steps_of_all(), Steps::default());
    followed.confirm(FEED, &[group("1")]);
    assert_eq!(followed.steps_of_all(), unsubscribe(group("1")));
}

#[tokio::test(start_paused = true)]
async fn unsubscribing_and_subscribing_again_are_two_steps() {
    let followed = Followed::new(Arc::default());
    let wish = followed.want(group("1"), PATIENCE);
    let redis = async {
        tokio::task::yield_now().await;
        followed.confirm(FEED, &followed.steps_of_all().subscribe);
    };
    let _ = tokio::join!(wish, redis);
    followed.unwant(group("1"));
    assert_eq!(followed.steps_of_all(), unsubscribe(group("1")));
    let again = followed.want(group("1"), PATIENCE);
    let redis = async {
        tokio::task::yield_now().await;
        assert_eq!(followed.steps_of_all(), subscribe(group("1")), "it no longer stood");
        followed.confirm(FEED, &[group("1")]);
    };
    assert!(tokio::join!(again, redis).0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_begins_with_all_that_is_wanted() {
    let followed = Followed::new(Arc::default());
    let wish = followed.want(group("1"), PATIENCE);
    let redis = async {
        tokio::task::yield_now().await;
        followed.confirm(FEED, &followed.steps_of_all().subscribe);
    };
    let _ = tokio::join!(wish, redis);
    followed.fall(FEED);
    assert!(!followed.stands(&group("1").0, &group("1").1));
    assert_eq!(followed.all_steps(|_| true), subscribe(group("1")));
    let wish = followed.want(group("1"), PATIENCE);
    assert!(wish.await.is_err(), "nothing stands until it is confirmed anew");
}

#[tokio::test(start_paused = true)]
async fn what_a_feed_no_longer_has_is_followed_by_another_and_known_to_have_fallen() {
    let followed = Followed::new(Arc::default());
    let wish = followed.want(group("1"), PATIENCE);
    let redis = async {
        tokio::task::yield_now().await;
        assert_eq!(followed.steps(1, |_| false), Steps::default(), "it is not this one's");
        assert_eq!(followed.steps(FEED, |_| true), subscribe(group("1")));
        assert!(!followed.confirm(FEED, &[group("1")]), "nothing can have been missed");
    };
    assert!(tokio::join!(wish, redis).0.is_ok());
    followed.leave(FEED, |_| false);
    assert_eq!(followed.steps(FEED, |_| false), Steps::default());
    assert_eq!(followed.steps(1, |_| true), subscribe(group("1")));
    assert!(followed.confirm(1, &[group("1")]), "something may have been missed");
    followed.fall(FEED);
    assert!(followed.stands(&group("1").0, &group("1").1), "it stands with the other");
}
