//! Getting on and getting off: asked until it is answered, and the driver asked to stand meanwhile.

use std::time::Duration;

use anyhow::bail;
use serde::Serialize;
use serde_json::{Value, json};
use signalbox_protocol::control::{
    BoardingAlight, BoardingConfirmed, BoardingDenial, BoardingDenied, BoardingRequest,
};
use signalbox_protocol::{PassengerId, Received, RequestId};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Vehicle, read, told};
use crate::cli::fleet::conductor::Choice;
use crate::cli::fleet::link::{Asked, NoLink};

/// For one passenger to get on or off.
const DWELL: Duration = Duration::from_secs(3);
/// Before an unanswered question is asked again; it doubles up to the second figure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

impl Vehicle {
    /// Boards one passenger, or learns that another has. Whether it did.
    pub(super) async fn board(&mut self, choice: Choice) -> anyhow::Result<bool> {
        let request_id = RequestId::try_new(&Uuid::now_v7().to_string())?;
        let request = BoardingRequest {
            passenger_id: choice.passenger_id.clone(),
            vehicle_id: None,
            request_id: Some(request_id),
            fence: None,
        };
        let Some(answer) = self.until_answered("boarding:request", &request).await? else {
            self.shared.tally().unresolved += 1;
            self.unresolved.insert(choice.passenger_id);
            return Ok(false);
        };
        if answer.message_type == "boarding:denied" {
            let denied: BoardingDenied = read(&answer, "boarding:denied")?;
            let mut tally = self.shared.tally();
            match denied.reason {
                BoardingDenial::Boarded => tally.conflicts += 1,
                BoardingDenial::NotFound
                | BoardingDenial::State
                | BoardingDenial::Full
                | BoardingDenial::StaleFence => tally.denied += 1,
            }
            self.conductor.denied(choice.passenger_id);
            return Ok(false);
        }
        let confirmed: BoardingConfirmed = read(&answer, "boarding:confirmed")?;
        self.shared.audit().confirmed(&self.id, &confirmed);
        self.shared.tally().boarded += 1;
        self.conductor.boarded(choice, confirmed.fence);
        Ok(true)
    }

    pub(super) async fn let_off(&mut self, passengers: Vec<PassengerId>) -> anyhow::Result<()> {
        self.halt("alighting", passengers.len()).await?;
        let mut alighted = 0;
        for passenger_id in passengers {
            alighted += u32::from(self.alight(&passenger_id).await?);
        }
        self.go_on(alighted).await
    }

    /// Lets one passenger off. Whether it did.
    pub(super) async fn alight(&mut self, passenger_id: &PassengerId) -> anyhow::Result<bool> {
        let Some(rider) = self.conductor.riders().get(passenger_id).copied() else { return Ok(false) };
        let request = BoardingAlight { passenger_id: passenger_id.clone(), fence: rider.fence };
        let Some(answer) = self.until_answered("boarding:alight", &request).await? else {
            self.shared.tally().unresolved += 1;
            self.unresolved.insert(passenger_id.clone());
            return Ok(false);
        };
        self.conductor.alighted(passenger_id);
        if answer.message_type == "boarding:denied" {
            let denied: BoardingDenied = read(&answer, "boarding:denied")?;
            let why = format!("{:?}", denied.reason);
            self.shared.audit().alight_refused(&self.id, passenger_id, &why);
            return Ok(false);
        }
        if answer.message_type != "boarding:alighted" {
            bail!("boarding:alight was answered by {}", answer.message_type);
        }
        self.shared.audit().alighted(&self.id, passenger_id);
        self.shared.tally().alighted += 1;
        Ok(true)
    }

    /// At the end of everything: nobody stays on board.
    pub(in crate::cli::fleet) async fn empty(mut self) -> anyhow::Result<()> {
        let riders: Vec<PassengerId> = self.conductor.riders().keys().cloned().collect();
        for passenger_id in riders {
            self.alight(&passenger_id).await?;
        }
        Ok(())
    }

    /// Asks until there is an answer, or the run has been over for so long that none is waited for.
    pub(super) async fn until_answered(
        &mut self,
        command: &str,
        data: &impl Serialize,
    ) -> anyhow::Result<Option<Received>> {
        let mut pause = PAUSE.0;
        loop {
            let begun = Instant::now();
            let asked = match self.link.ask(command, data).await {
                Err(NoLink::GivenUp) => return Ok(None),
                asked => asked?,
            };
            match asked {
                Asked::Answered(answer) => {
                    self.shared.tally().boarding.record(begun.elapsed());
                    return Ok(Some(answer));
                }
                Asked::Refused(fault) if !fault.code.retryable() => bail!("{command}: {}", told(&fault)),
                Asked::Unknown => self.shared.tally().unknown += 1,
                Asked::Refused(_) | Asked::NotSent => {}
            }
            if self.shared.give_up.run_until_cancelled(sleep(pause)).await.is_none() {
                return Ok(None);
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// The conductor asks the driver to stop: an event in the vehicle's own topic.
    pub(super) async fn halt(&mut self, why: &str, passengers: usize) -> anyhow::Result<()> {
        let data = json!({
            "vehicle_id": self.id, "reason": why, "passengers": passengers,
            "position": self.conductor.position(),
        });
        self.shared.tally().stops += 1;
        self.tell_driver("vehicle:stop_requested", &data).await
    }

    /// The passengers get on or off; then the driver may go on.
    pub(super) async fn go_on(&mut self, passengers: u32) -> anyhow::Result<()> {
        let dwell = sleep((DWELL * passengers).div_f64(self.shared.speed));
        self.shared.ending.run_until_cancelled(dwell).await;
        let data = json!({"vehicle_id": self.id, "seats_left": self.conductor.free_seats()});
        self.tell_driver("vehicle:continue", &data).await
    }

    pub(super) async fn tell_driver(&mut self, event: &str, data: &Value) -> anyhow::Result<()> {
        let topic = format!("vehicle:{}", self.id);
        match self.link.tell(event, data, &topic).await {
            Ok(true) | Err(NoLink::GivenUp) => {}
            Ok(false) => self.shared.tally().unheard += 1,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
