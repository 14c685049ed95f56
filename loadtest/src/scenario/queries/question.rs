//! Where passengers wait along a route, and the question who is near.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use signalbox_client::protocol::ErrorCode;

use super::asked::Found;
use super::kept::Kept;
use crate::asking::{Asker, Heard, answer};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The southern end of every route, and its meridian.
const START: (f64, f64) = (13.0, -59.6);
/// Kilometres of a degree of latitude.
const KM_PER_DEGREE: f64 = 111.2;

/// A straight road to the north with passengers along it, and what vehicles ask for on it.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) id: String,
    pub(super) length_km: f64,
    pub(super) radius_km: f64,
    pub(super) max_results: u32,
}

impl Route {
    /// Passenger `number` of `count`, who are spread evenly.
    pub(super) fn passenger(&self, number: u32, count: u32) -> Value {
        let lat = self.lat(f64::from(number) / f64::from(count));
        json!({
            "passenger_id": format!("{}-{number}", self.id),
            "route_id": self.id,
            "position": {"lat": lat, "lon": START.1},
        })
    }

    /// Where a vehicle is at its question of this number: it drives on, and starts anew at the end.
    fn vehicle_lat(&self, vehicle: u32, question: u64) -> f64 {
        let place = f64::from(vehicle) * 0.618_034 + question as f64 * 1e-5;
        self.lat(place.fract())
    }

    fn lat(&self, share: f64) -> f64 {
        START.0 + share * self.length_km / KM_PER_DEGREE
    }
}

/// Asks over a WebSocket.
pub(super) async fn ask(
    asker: &mut Asker,
    route: &Route,
    vehicle: u32,
    number: u64,
) -> anyhow::Result<Found> {
    let Route { id, radius_km, max_results, .. } = route;
    let (lat, lon) = (route.vehicle_lat(vehicle, number), START.1);
    let question = format!(
        r#"{{"type":"vehicle:query_commuters","correlationId":"{number}","data":{{"route_id":"{id}","position":{{"lat":{lat},"lon":{lon}}},"radius_km":{radius_km},"max_results":{max_results}}}}}"#
    );
    asker.ready().await?;
    let name = number.to_string();
    let heard = asker.ask(question, ANSWER_WITHIN, |text| read(text, &name)).await?;
    Ok(match heard {
        Heard::Answer(found) => found,
        Heard::NotNow | Heard::Nothing => Found::Failed,
    })
}

fn read(text: &str, id: &str) -> Option<Result<Found, ErrorCode>> {
    #[derive(Deserialize)]
    struct Data {
        #[serde(default)]
        commuters: Vec<IgnoredAny>,
        #[serde(default)]
        cached: bool,
        #[serde(default)]
        code: Option<ErrorCode>,
    }
    let (message_type, data) = answer::<Data>(text, id)?;
    match message_type {
        "vehicle:commuters_found" => {
            Some(Ok(Found::Passengers { count: data.commuters.len() as u32, cached: data.cached }))
        }
        "system:error" => data.code.map(Err),
        _ => None,
    }
}

/// Asks over HTTP.
pub(super) async fn get(kept: &mut Kept, route: &Route, vehicle: u32, number: u64) -> anyhow::Result<Found> {
    #[derive(Deserialize)]
    struct List {
        items: Vec<IgnoredAny>,
    }
    let Route { id, radius_km, max_results, .. } = route;
    let (lat, lon) = (route.vehicle_lat(vehicle, number), START.1);
    let path = format!(
        "/api/reservoirs/route/{id}/query?tenant=load&lat={lat}&lon={lon}&radius_km={radius_km}&max_results={max_results}"
    );
    let answer = kept.get(&path).await?;
    if answer.status != 200 {
        return Ok(Found::Failed);
    }
    let List { items } = serde_json::from_str(&answer.body)?;
    Ok(Found::Passengers { count: items.len() as u32, cached: answer.cache == "hit" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_how_many_were_found_and_where_they_came_from() {
        let text = r#"{"type":"vehicle:commuters_found","correlationId":"7","data":{"commuters":[{"x":1},{}],"cached":true}}"#;
        let Some(Ok(found)) = read(text, "7") else { panic!("{text}") };
        assert_eq!(found, Found::Passengers { count: 2, cached: true });
        assert!(read(text, "8").is_none());
        let error = r#"{"type":"system:error","correlationId":"7","data":{"code":"unavailable"}}"#;
        assert!(matches!(read(error, "7"), Some(Err(ErrorCode::Unavailable))));
    }

    #[test]
    fn vehicles_stay_on_their_route() {
        let route = Route { id: "r".to_owned(), length_km: 10.0, radius_km: 0.2, max_results: 4 };
        for (vehicle, question) in [(0, 0), (7, 1), (1_199, 720_000), (u32::MAX, u64::from(u32::MAX))] {
            let lat = route.vehicle_lat(vehicle, question);
            assert!((13.0..13.09).contains(&lat), "{vehicle} {question}: {lat}");
        }
    }
}
