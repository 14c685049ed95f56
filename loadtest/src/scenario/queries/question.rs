//! Where passengers wait along a route, and the question who is near.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use signalbox_client::protocol::ErrorCode;

use super::asked::Found;
use super::judge::Near;
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

    /// Who that is.
    fn number(&self, passenger_id: &str) -> Option<u32> {
        passenger_id.strip_prefix(&self.id)?.strip_prefix('-')?.parse().ok()
    }

    fn lat(&self, share: f64) -> f64 {
        START.0 + share * self.length_km / KM_PER_DEGREE
    }
}

/// At which share of its route a vehicle is at its question of this number: it drives on, and starts anew at the end.
pub(super) fn vehicle_share(vehicle: u32, question: u64) -> f64 {
    (f64::from(vehicle) * 0.618_034 + question as f64 * 1e-5).fract()
}

/// A passenger as an answer names it.
#[derive(Deserialize)]
struct Named<'a> {
    passenger_id: &'a str,
    distance_m: f64,
}

impl Named<'_> {
    fn on(&self, route: &Route) -> Near {
        Near { number: route.number(self.passenger_id), distance_m: self.distance_m }
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
    let (lat, lon) = (route.lat(vehicle_share(vehicle, number)), START.1);
    let question = format!(
        r#"{{"type":"vehicle:query_commuters","correlationId":"{number}","data":{{"route_id":"{id}","position":{{"lat":{lat},"lon":{lon}}},"radius_km":{radius_km},"max_results":{max_results}}}}}"#
    );
    asker.ready().await?;
    let name = number.to_string();
    let heard = asker.ask(question, ANSWER_WITHIN, |text| read(text, &name, route)).await?;
    Ok(match heard {
        Heard::Answer(found) => found,
        Heard::NotNow | Heard::Nothing => Found::Failed,
    })
}

fn read(text: &str, id: &str, route: &Route) -> Option<Result<Found, ErrorCode>> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, default)]
        commuters: Vec<Named<'a>>,
        #[serde(default)]
        cached: bool,
        #[serde(default)]
        code: Option<ErrorCode>,
    }
    let (message_type, data) = answer::<Data<'_>>(text, id)?;
    match message_type {
        "vehicle:commuters_found" => {
            let near = data.commuters.iter().map(|named| named.on(route)).collect();
            Some(Ok(Found::Passengers { near, cached: data.cached }))
        }
        "system:error" => data.code.map(Err),
        _ => None,
    }
}

/// Asks over HTTP.
pub(super) async fn get(kept: &mut Kept, route: &Route, vehicle: u32, number: u64) -> anyhow::Result<Found> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        items: Vec<Named<'a>>,
    }
    let Route { id, radius_km, max_results, .. } = route;
    let (lat, lon) = (route.lat(vehicle_share(vehicle, number)), START.1);
    let path = format!(
        "/api/reservoirs/route/{id}/query?tenant=load&lat={lat}&lon={lon}&radius_km={radius_km}&max_results={max_results}"
    );
    let answer = kept.get(&path).await?;
    if answer.status != 200 {
        return Ok(Found::Failed);
    }
    let List { items } = serde_json::from_str(&answer.body)?;
    let near = items.iter().map(|named| named.on(route)).collect();
    Ok(Found::Passengers { near, cached: answer.cache == "hit" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        Route { id: "r".to_owned(), length_km: 10.0, radius_km: 0.2, max_results: 4 }
    }

    #[test]
    fn an_answer_tells_who_was_found_and_where_they_came_from() {
        let text = r#"{"type":"vehicle:commuters_found","correlationId":"7","data":{"commuters":[{"passenger_id":"r-12","x":1,"distance_m":3.5},{"passenger_id":"s-1","distance_m":9}],"cached":true}}"#;
        let Some(Ok(found)) = read(text, "7", &route()) else { panic!("{text}") };
        let near = [(Some(12), 3.5), (None, 9.0)].map(|(number, distance_m)| Near { number, distance_m });
        assert_eq!(found, Found::Passengers { near: near.into(), cached: true });
        assert!(read(text, "8", &route()).is_none());
        let error = r#"{"type":"system:error","correlationId":"7","data":{"code":"unavailable"}}"#;
        assert!(matches!(read(error, "7", &route()), Some(Err(ErrorCode::Unavailable))));
    }

    #[test]
    fn vehicles_stay_on_their_route() {
        for (vehicle, question) in [(0, 0), (7, 1), (1_199, 720_000), (u32::MAX, u64::from(u32::MAX))] {
            let lat = route().lat(vehicle_share(vehicle, question));
            assert!((13.0..13.09).contains(&lat), "{vehicle} {question}: {lat}");
        }
    }
}
