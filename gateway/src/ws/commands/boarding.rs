//! `boarding:request`, `boarding:alight`: who boards is decided by the reservoir; here it is only settled
//! who may ask for which vehicle.

use std::sync::Arc;

use bytes::Bytes;
use signalbox_identity::Verb;
use signalbox_protocol::control::{
    BoardingAlight, BoardingAlighted, BoardingConfirmed, BoardingDenial, BoardingDenied, BoardingRequest,
    parse_data,
};
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, PassengerId, RequestId, VehicleId};
use signalbox_reservoir::repository::{Alighting, Boarding};
use signalbox_reservoir::{Actor, Error};

use crate::fleet;
use crate::hub::Connection;
use crate::node::Node;
use crate::stamps::now_ms;
use crate::ws::answer;
use crate::ws::asker::Asker;
use crate::ws::dispatch::{Outcome, Step};

pub(super) fn request(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let asked: BoardingRequest = parse_data(incoming.data)?;
    let vehicle_id = vehicle_for(asker.agent(), asked.vehicle_id)?;
    let connection = asker.may(Verb::Board, vehicle_id.as_str())?;
    let of_message = || incoming.id.as_deref().and_then(|id| RequestId::try_new(id).ok());
    let actor = actor(connection, asked.request_id.or_else(of_message));
    let boarding = Boarding { passenger_id: asked.passenger_id, vehicle_id, fence: asked.fence };
    let correlation = incoming.answer_to().map(str::to_owned);
    let node = Arc::clone(node);
    Ok(Step::Wait(Box::pin(async move {
        let boarded = node.board(&actor, &boarding).await;
        let Boarding { passenger_id, vehicle_id, .. } = boarding;
        let confirmed = boarded.map(|boarded| BoardingConfirmed {
            passenger_id: passenger_id.clone(),
            vehicle_id,
            fence: boarded.fence,
            seats_left: boarded.seats_left,
        });
        outcome("boarding:confirmed", confirmed, passenger_id, correlation)
    })))
}

pub(super) fn alight(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let asked: BoardingAlight = parse_data(incoming.data)?;
    let vehicle_id = alighting_from(asker.agent())?;
    let connection = match &vehicle_id {
        Some(own) => asker.may(Verb::Board, own.as_str())?,
        None => asker.may_some(Verb::Board)?,
    };
    let (actor, rights) = (actor(connection, None), connection.rights());
    let mut alighting = Alighting { passenger_id: asked.passenger_id, fence: asked.fence, vehicle_id };
    let correlation = incoming.answer_to().map(str::to_owned);
    let node = Arc::clone(node);
    Ok(Step::Wait(Box::pin(async move {
        let alighted = fleet::drop_off(&node, &actor, &rights, &mut alighting).await;
        let passenger_id = alighting.passenger_id;
        let alighted =
            alighted.map(|vehicle_id| BoardingAlighted { passenger_id: passenger_id.clone(), vehicle_id });
        outcome("boarding:alighted", alighted, passenger_id, correlation)
    })))
}

/// A vehicle boards for itself; a service or conductor for any vehicle that it names.
///
/// # Errors
/// [`ErrorCode::Forbidden`] for other agents, [`ErrorCode::InvalidData`] where a vehicle has to be named.
pub(crate) fn vehicle_for(agent: &Agent, named: Option<VehicleId>) -> Result<VehicleId, Fault> {
    match (agent.agent_type(), named) {
        ("vehicle", None) => Ok(own_vehicle(agent)),
        ("vehicle", Some(named)) if named == own_vehicle(agent) => Ok(named),
        ("vehicle", Some(named)) => Err(forbidden(format!("{agent} may not board for the vehicle {named}"))),
        ("service" | "conductor", Some(named)) => Ok(named),
        ("service" | "conductor", None) => {
            let fault = Fault::new(ErrorCode::InvalidData, "data lacks the field `vehicle_id`");
            Err(fault.in_field("vehicle_id"))
        }
        (other, _) => Err(forbidden(format!("a {other} may not board passengers"))),
    }
}

/// The vehicle that an agent drops passengers off from: a vehicle from itself, a service or conductor (`None`) from any.
///
/// # Errors
/// [`ErrorCode::Forbidden`] for other agents.
pub(crate) fn alighting_from(agent: &Agent) -> Result<Option<VehicleId>, Fault> {
    match agent.agent_type() {
        "vehicle" => Ok(Some(own_vehicle(agent))),
        "service" | "conductor" => Ok(None),
        other => Err(forbidden(format!("a {other} may not drop passengers off"))),
    }
}

fn own_vehicle(agent: &Agent) -> VehicleId {
    VehicleId::try_new(agent.agent_id()).expect("agent ids have the characters of vehicle ids")
}

fn forbidden(text: String) -> Fault {
    Fault::new(ErrorCode::Forbidden, text)
}

fn actor(connection: &Connection, request_id: Option<RequestId>) -> Actor {
    let profile = connection.profile();
    Actor {
        tenant: profile.tenant.clone(),
        agent: profile.agent.clone(),
        subject: profile.subject().to_owned(),
        request_id,
        now: Timestamp(now_ms()),
    }
}

fn outcome<T: serde::Serialize>(
    message_type: &str,
    done: Result<T, Error>,
    passenger_id: PassengerId,
    correlation_id: Option<String>,
) -> Outcome {
    let error = match done {
        Ok(data) => return Outcome::Reply(answer::reply(message_type, correlation_id.as_deref(), &data)),
        Err(error) => error,
    };
    let (reason, boarded_by) = match error {
        Error::Denied(denied) => (denied.reason, denied.boarded_by),
        Error::NotFound(_) => (BoardingDenial::NotFound, None),
        error => return Outcome::Failed(fleet::fault(&error), correlation_id),
    };
    Outcome::Reply(denial(&BoardingDenied { passenger_id, reason, boarded_by }, correlation_id.as_deref()))
}

fn denial(denied: &BoardingDenied, correlation_id: Option<&str>) -> Bytes {
    answer::reply("boarding:denied", correlation_id, denied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vehicle(id: &str) -> VehicleId {
        VehicleId::try_new(id).unwrap()
    }

    #[test]
    fn a_vehicle_boards_for_itself_and_a_service_for_whom_it_names() {
        use ErrorCode::{Forbidden, InvalidData};
        for (agent_type, named, expected) in [
            ("vehicle", None, Ok("V1")),
            ("vehicle", Some("V1"), Ok("V1")),
            ("vehicle", Some("V2"), Err(Forbidden)),
            ("service", Some("V2"), Ok("V2")),
            ("conductor", Some("V2"), Ok("V2")),
            ("conductor", None, Err(InvalidData)),
            ("driver", Some("V1"), Err(Forbidden)),
            ("passenger", None, Err(Forbidden)),
        ] {
            let agent = Agent::of(agent_type, "V1").unwrap();
            let found = vehicle_for(&agent, named.map(vehicle)).map_err(|fault| fault.code);
            assert_eq!(found, expected.map(vehicle), "{agent} for {named:?}");
        }
    }
}
