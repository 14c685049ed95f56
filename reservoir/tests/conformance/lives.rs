//! Every change in every state, as the state machine has it; and cancelling.

use signalbox_protocol::fleet::{Passenger, PassengerState};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_reservoir::Error;
use signalbox_reservoir::machine::Change;
use signalbox_testkit::eventually;

use crate::on_both;
use crate::world::{Node, SOON, World, pool, tenant};

on_both!(
    every_change_in_every_state_is_as_the_machine_has_it,
    cancelling_again_is_no_error,
    a_pool_is_cancelled_step_by_step,
);

/// Brings a new passenger into a state.
async fn one_who_is(node: &Node, state: PassengerState, name: &str) {
    let soon = Timestamp(node.now().0 + 1);
    let end = if state == PassengerState::Expired { Some(soon) } else { None };
    let passenger = Passenger { expires_at: end, ..node.waiting(name, "route:12") };
    node.repository.push(&node.actor(), vec![passenger]).await.unwrap();
    match state {
        PassengerState::Waiting => {}
        PassengerState::Boarded => assert!(change(node, Change::Board, name).await),
        PassengerState::Alighted => {
            assert!(change(node, Change::Board, name).await);
            assert!(change(node, Change::Alight, name).await);
        }
        PassengerState::Cancelled => assert!(change(node, Change::Cancel, name).await),
        PassengerState::Expired => {
            eventually("the wait is over", SOON, || async {
                node.repository.expire(node.now()).await.unwrap() == 1
            })
            .await;
        }
    }
}

/// Tries a change; whether it was made, as far as the answer tells.
async fn change(node: &Node, change: Change, name: &str) -> bool {
    match change {
        Change::Board => node.board(name, "V1").await.is_ok(),
        Change::Alight => {
            let fence = node.passenger(name).await.unwrap().fence;
            node.alight(name, fence.unwrap_or(1)).await.is_ok()
        }
        Change::Cancel => node.cancel(name).await.is_ok(),
        // Long before the end of the wait, and with no end at all.
        Change::Expire => node.repository.expire(node.now()).await.unwrap() > 0,
    }
}

async fn every_change_in_every_state_is_as_the_machine_has_it(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 100).await;
    for state in PassengerState::ALL {
        for what in Change::ALL {
            let name = format!("{}-{}", state.as_str(), what.as_str());
            one_who_is(&node, state, &name).await;
            let before = node.passenger(&name).await.unwrap();
            assert_eq!(before.state, state);
            let made = change(&node, what, &name).await;
            let after = node.passenger(&name).await.unwrap();
            match what.after(state) {
                // Nobody's time is over; that it ends when it is, `expiry` shows.
                Ok(PassengerState::Expired) => assert_eq!((made, after), (false, before), "{name}"),
                Ok(next) => assert_eq!((made, after.state), (true, next), "{name}"),
                Err(_) => {
                    // Asking for what has been done is no error.
                    let done = [
                        (PassengerState::Cancelled, Change::Cancel),
                        (PassengerState::Alighted, Change::Alight),
                    ];
                    assert_eq!((made, after), (done.contains(&(state, what)), before), "{name}");
                }
            }
        }
    }
}

async fn cancelling_again_is_no_error(world: World) {
    let node = world.node().await;
    node.push(&["COM_1", "COM_2"]).await;
    node.vehicle("V1", 1).await;
    node.cancel("COM_1").await.unwrap();
    node.cancel("COM_1").await.unwrap();
    assert_eq!(node.passenger("COM_1").await.unwrap().state, PassengerState::Cancelled);
    assert_eq!(node.repository.available(&tenant("acme"), &pool("route:12")).await.unwrap(), 1);
    let fence = node.board("COM_2", "V1").await.unwrap().fence;
    let refused = node.cancel("COM_2").await;
    assert!(matches!(refused, Err(Error::State(PassengerState::Boarded))), "{refused:?}");
    node.alight("COM_2", fence).await.unwrap();
    let refused = node.cancel("COM_2").await;
    assert!(matches!(refused, Err(Error::State(PassengerState::Alighted))), "{refused:?}");
}

async fn a_pool_is_cancelled_step_by_step(world: World) {
    let node = world.node().await;
    let mut list: Vec<_> = (0..5).map(|number| node.waiting(&format!("P{number}"), "route:12")).collect();
    list.push(node.waiting("OTHER", "route:13"));
    node.repository.push(&node.actor(), list).await.unwrap();
    node.vehicle("V1", 1).await;
    node.board("P2", "V1").await.unwrap();
    let some = || async { node.repository.cancel_some(&node.actor(), &pool("route:12"), 3).await.unwrap() };
    assert_eq!([some().await, some().await, some().await], [3, 1, 0]);
    for (who, state) in [
        ("P0", PassengerState::Cancelled),
        ("P2", PassengerState::Boarded),
        ("OTHER", PassengerState::Waiting),
    ] {
        assert_eq!(node.passenger(who).await.unwrap().state, state, "{who}");
    }
}
