//! Grants in, what is refused out.

use super::*;
use crate::metrics::Metrics;

fn rights(capabilities: &[&str], namespaces: Option<&[&str]>) -> Rights {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let capabilities = Capabilities::parse(&owned(capabilities)).unwrap();
    let namespaces = namespaces.map(owned);
    Rights::of(Some(Arc::new(Grant { capabilities, namespaces, expires_at: 0, issued_at: None })))
}

fn topic(text: &str) -> Topic {
    Topic::try_new(text).unwrap()
}

#[test]
fn what_is_not_granted_is_named_and_counted() {
    let (metrics, rights) = (Metrics::new().access, rights(&["lock:order:*", "see:connections"], None));
    assert!(rights.may(&metrics, Verb::Lock, "order:9").is_ok());
    assert!(rights.may_some(&metrics, Verb::Lock).is_ok());
    for (verb, what) in [(Verb::Lock, "bay"), (Verb::Lock, ANYTHING), (Verb::See, "topics"), (Verb::End, "x")]
    {
        let fault = rights.may(&metrics, verb, what).unwrap_err();
        assert_eq!(fault.code, ErrorCode::Forbidden);
        assert_eq!(fault.details.unwrap()["capability"], format!("{}:{what}", verb.as_str()));
    }
    assert!(rights.may_some(&metrics, Verb::Push).is_err());
    let counted = |verb: Verb| metrics.refusals.with_label_values(&[verb.as_str()]).get();
    assert_eq!([Verb::Lock, Verb::See, Verb::End, Verb::Push, Verb::Admin].map(counted), [2, 1, 1, 1, 0]);
}

#[test]
fn a_listed_namespace_needs_nothing_else_and_another_is_closed() {
    let metrics = Metrics::new().access;
    let listed = rights(&["subscribe:namespace:*"], Some(&["vehicle-events"]));
    let (own, other) = (topic("namespace:vehicle-events"), topic("namespace:system-events"));
    assert!(rights(&[], Some(&["vehicle-events"])).may_follow(&metrics, &own).is_ok());
    assert!(listed.may_send_to(&metrics, &own).is_ok());
    for refused in [listed.may_follow(&metrics, &other), listed.may_send_to(&metrics, &other)] {
        assert_eq!(refused.unwrap_err().details.unwrap()["namespace"], "system-events");
    }
    assert_eq!(metrics.refusals.with_label_values(&[AccessMetrics::NAMESPACE]).get(), 2);
    assert!(listed.may_follow(&metrics, &topic("route:1")).is_err(), "the list is about namespaces alone");
    assert!(listed.may_send_to(&metrics, &topic("route:1")).is_ok());
    let unlisted = rights(&["subscribe:namespace:v*"], None);
    assert!(unlisted.may_follow(&metrics, &own).is_ok() && unlisted.may_follow(&metrics, &other).is_err());
    assert!(unlisted.may_send_to(&metrics, &other).is_ok(), "without a list publish:TYPE decides");
}

#[test]
fn who_came_without_a_token_may_do_everything() {
    let (metrics, rights) = (Metrics::new().access, Rights::default());
    assert!(Verb::ALL.into_iter().all(|verb| rights.may(&metrics, verb, ANYTHING).is_ok()));
    assert!(rights.may_follow(&metrics, &topic("namespace:x")).is_ok());
}
