//! Every row reads back as it was written, in few bytes; what is no row is refused.

use proptest::prelude::*;

use super::*;

fn rows() -> impl Strategy<Value = Row> {
    let id = "[A-Za-z0-9._~@+-]{1,20}";
    let label = "[A-Za-z0-9._~@+-]{1,12}";
    let session =
        prop_oneof![Just(None), id.prop_map(|id| Some((id, true))), id.prop_map(|id| Some((id, false)))];
    let names = ("[a-z0-9.]{1,10}", any::<u64>(), "[A-Za-z0-9._-]{1,20}", "[a-z][a-z0-9_]{0,9}", id, session);
    let rest = (
        prop::option::of(label),
        prop::collection::vec(label, 0..3),
        any::<u32>(),
        0..u64::MAX / 2,
        0..u64::MAX / 2,
    );
    (names, rest).prop_map(
        |((node, number, tenant, kind, id, session), (pillar, namespaces, generation, at, after))| {
            let node_id = NodeId::try_new(&node).unwrap();
            let connection_id = ConnectionId::of_node(&node_id, number);
            let (session, session_named) = session.unwrap_or((format!("{connection_id}~x9"), false));
            Row {
                connection_id,
                tenant: Tenant::try_new(&tenant).unwrap(),
                agent: Agent::of(&kind, &id).unwrap(),
                session_id: SessionId::try_new(&session).unwrap(),
                session_named,
                pillar,
                namespaces,
                node_id,
                generation,
                connected_at_ms: at,
                last_activity_ms: at + after,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_row_reads_back_from_every_form(row in rows()) {
        let (tenant, agent, id) = (&row.tenant, &row.agent, row.connection_id.as_str());
        prop_assert_eq!(&of_agent(tenant, agent, id, &for_agent(&row)).unwrap(), &row);
        let number = number_of(&row.connection_id);
        prop_assert_eq!(&of_node(&row.node_id, row.generation, number, &for_node(&row)).unwrap(), &row);
        if row.session_named {
            let read = of_session(tenant, &row.session_id, id, &for_session(&row)).unwrap();
            prop_assert_eq!(&read, &row);
        }
        for text in [for_agent(&row), for_session(&row)] {
            prop_assert!(text.starts_with(&generation_prefix(row.generation)));
            prop_assert_eq!(lease_of(id, &text).unwrap(), (row.node_id.clone(), row.generation));
        }
        let place = Place { agent: agent.clone(), connection_id: row.connection_id.clone() };
        for group in [Topic::of("agent_type", agent.agent_type()).unwrap(), Topic::of("pillar", "p").unwrap()] {
            prop_assert_eq!(of_group(&row.node_id, &group, &for_group(&row, &group)).unwrap(), place.clone());
        }
    }

    #[test]
    fn arbitrary_text_never_panics(field in ".{0,20}", text in "[a-z0-9|~=!:,-]{0,40}") {
        let (tenant, agent) = (Tenant::try_new("t").unwrap(), Agent::of("vehicle", "1").unwrap());
        let node = NodeId::try_new("n").unwrap();
        let _ = of_agent(&tenant, &agent, &field, &text);
        let _ = of_session(&tenant, &SessionId::try_new("s").unwrap(), &field, &text);
        let _ = of_node(&node, 1, &field, &text);
        let _ = of_group(&node, agent.topic(), &text);
        let _ = lease_of(&field, &text);
    }
}

#[test]
fn a_plain_connection_takes_few_bytes() {
    let node_id = NodeId::try_new("k3x9q2").unwrap();
    let connection_id = ConnectionId::of_node(&node_id, 46);
    let row = Row {
        tenant: Tenant::try_new("default").unwrap(),
        agent: Agent::of("vehicle", "V17").unwrap(),
        session_id: SessionId::try_new("k3x9q2-1a~0d9vz2m4kq").unwrap(),
        session_named: false,
        pillar: None,
        namespaces: vec![],
        generation: 1,
        connected_at_ms: 1_767_225_600_000,
        last_activity_ms: 1_767_225_600_000,
        connection_id,
        node_id,
    };
    assert_eq!(for_agent(&row), "1|mjuohs00||~0d9vz2m4kq");
    assert_eq!(for_node(&row), "default|vehicle:V17|mjuohs00||~0d9vz2m4kq");
    assert_eq!(for_group(&row, &Topic::of("agent_type", "vehicle").unwrap()), "1a|V17");
}
