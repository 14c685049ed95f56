//! The table's own order, and the promises of the catalogue by example.

use super::*;
use crate::message_type::is_message_type;
use crate::vocabulary::Vocabulary;

#[test]
fn the_table_is_sorted_and_names_only_what_exists() {
    let vocabulary = Vocabulary::default();
    assert!(TABLE.is_sorted_by(|a, b| a.name < b.name));
    for entry in TABLE {
        assert!(is_message_type(&entry.name.replace('*', "other")), "{}", entry.name);
        assert!(entry.namespaces.iter().all(|name| vocabulary.is_namespace(name)), "{}", entry.name);
        if let Senders::Agents(agent_types) = entry.senders {
            assert!(agent_types.iter().all(|name| vocabulary.is_agent_type(name)), "{}", entry.name);
        }
        assert_eq!(lookup(entry.name), Some(*entry));
    }
}

#[test]
fn a_type_has_its_own_entry_or_that_of_its_group_or_the_general_one() {
    for (message_type, entry) in [
        ("commuter:spawned", "commuter:spawned"),
        ("commuter:waved", "commuter:*"),
        ("order:cancelled", "order:*"),
        ("boarding:delayed", "boarding:*"),
        ("vehicle:door_opened", "vehicle:*"),
        ("system:deployed", "system:*"),
        ("chat:line", "*"),
        ("lock:other", "*"),
        ("nothing", "*"),
    ] {
        assert_eq!(of(message_type).name, entry);
    }
    assert_eq!(lookup("commuter:waved"), None);
}

#[test]
fn events_have_the_class_that_the_reference_promises() {
    for durable in [
        "commuter:spawned",
        "commuter:anything",
        "order:new",
        "order:accepted",
        "order:anything",
        "boarding:anything",
        "vehicle:stop_requested",
        "vehicle:continue",
        "vehicle:capacity_update",
    ] {
        assert!(of(durable).is_durable() && !of(durable).conflates(), "{durable}");
    }
    for conflating in ["vehicle:position_update", "vehicle:status_change"] {
        assert_eq!(of(conflating).class(), Some(Class::Ephemeral));
        assert!(of(conflating).conflates(), "{conflating}");
    }
    for plain in ["vehicle:anything", "system:anything", "chat:line", "system:draining"] {
        assert_eq!(of(plain).class(), Some(Class::Ephemeral));
        assert!(!of(plain).conflates(), "{plain}");
    }
    for command in ["system:subscribe", "system:health_check", "order:accept", "vehicle:query_commuters"] {
        assert!(of(command).is_command() && of(command).class().is_none(), "{command}");
    }
}

#[test]
fn only_those_who_may_send_a_type_may_send_it() {
    for (message_type, agent_type, allowed) in [
        ("commuter:spawned", "service", true),
        ("commuter:spawned", "vehicle", true),
        ("commuter:spawned", "passenger", false),
        ("commuter:waved", "driver", false),
        ("order:new", "user", true),
        ("vehicle:position_update", "vehicle", true),
        ("vehicle:position_update", "conductor", true),
        ("vehicle:position_update", "passenger", false),
        ("vehicle:query_commuters", "passenger", false),
        ("vehicle:horn", "passenger", true),
        ("vehicle:commuters_found", "service", true),
        ("vehicle:commuters_found", "vehicle", false),
        ("system:health_check", "guest", true),
        ("system:welcome", "service", false),
        ("system:ack", "service", false),
        ("system:error", "service", false),
        ("system:draining", "service", false),
        ("system:service_connected", "service", false),
        ("system:service_disconnected", "service", false),
        ("boarding:confirmed", "service", false),
        ("lock:granted", "service", false),
        ("chat:line", "guest", true),
    ] {
        assert_eq!(of(message_type).may_send(agent_type), allowed, "{message_type} from {agent_type}");
    }
}

#[test]
fn a_default_namespace_is_the_only_one() {
    assert_eq!(of("vehicle:position_update").default_namespace(), Some("vehicle-events"));
    assert_eq!(of("vehicle:anything").default_namespace(), Some("vehicle-events"));
    assert_eq!(of("system:service_connected").default_namespace(), Some("system-events"));
    assert_eq!(of("commuter:spawned").default_namespace(), None);
    assert_eq!(of("order:new").default_namespace(), None);
    assert_eq!(of("chat:line").default_namespace(), None);
}
