//! Routes and depots: the built-in network around Lantern Bay, or one from a GeoJSON file.

use anyhow::{Context, bail};
use signalbox_protocol::fleet::{GeoPoint, Pool, PoolKind};

use super::Line;
use super::geojson::{self, Properties};

/// A made-up town in the middle of the Atlantic: three routes, two depots.
const LANTERN_BAY: &str = include_str!("lantern-bay.geojson");

/// Most stops of a route.
const STOPS_MAX: u32 = 10_000;

/// Where passengers wait and vehicles drive.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Network {
    routes: Vec<Route>,
    depots: Vec<Depot>,
    /// The only line of a file that names none: it stands for any route that is asked for.
    nameless: Option<Line>,
}

/// A line that vehicles drive back and forth.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Route {
    pub(in crate::cli) pool: Pool,
    pub(in crate::cli) line: Line,
    /// Metres from the start, rising; passengers wait anywhere along the line if there is none.
    pub(in crate::cli) stops: Vec<f64>,
    depot: Option<Pool>,
}

/// A place from which lines start.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Depot {
    pub(in crate::cli) pool: Pool,
    pub(in crate::cli) position: GeoPoint,
}

impl Network {
    /// The built-in one.
    pub(in crate::cli) fn lantern_bay() -> Self {
        Self::read(LANTERN_BAY).expect("a test reads it too")
    }

    /// The network of a GeoJSON document.
    pub(in crate::cli) fn read(text: &str) -> anyhow::Result<Self> {
        let features = geojson::read(text).context("it is not GeoJSON as this reads it")?;
        let mut network = Self { routes: Vec::new(), depots: Vec::new(), nameless: None };
        let only = features.lines.len() == 1;
        for (properties, points) in features.lines {
            let line = Line::try_new(points)?;
            match &properties.route_id {
                Some(id) => network.routes.push(route(id, line, &properties)?),
                None if only => network.nameless = Some(line),
                None => bail!("of several lines each needs the property route_id"),
            }
        }
        for (properties, position) in features.points {
            let Some(id) = &properties.depot_id else { continue };
            network.depots.push(Depot { pool: Pool::of(PoolKind::Depot, id)?, position });
        }
        if network.routes.is_empty() && network.nameless.is_none() {
            bail!("it holds no LineString");
        }
        Ok(network)
    }

    /// The route of that id. A network with one nameless line has any.
    pub(in crate::cli) fn route(&self, id: &str) -> anyhow::Result<Route> {
        let named = self.routes.iter().find(|route| route.pool.id() == id);
        match (named, &self.nameless) {
            (Some(route), _) => Ok(route.clone()),
            (None, Some(line)) => route(id, line.clone(), &Properties::default()),
            (None, None) => bail!("the network has no route {id}: it has {}", self.route_ids().join(", ")),
        }
    }

    /// The depot of that id. A network with one nameless line has any, at the line's start.
    pub(in crate::cli) fn depot(&self, id: &str) -> anyhow::Result<Depot> {
        let named = self.depots.iter().find(|depot| depot.pool.id() == id);
        match (named, &self.nameless) {
            (Some(depot), _) => Ok(depot.clone()),
            (None, Some(line)) => Ok(Depot { pool: Pool::of(PoolKind::Depot, id)?, position: line.at(0.0) }),
            (None, None) => {
                let known: Vec<&str> = self.depots.iter().map(|depot| depot.pool.id()).collect();
                bail!("the network has no depot {id}: it has {}", known.join(", "))
            }
        }
    }

    /// The lines on which passengers of a depot leave: all of them if none is said to start there.
    pub(in crate::cli) fn lines_from(&self, depot: &Depot) -> Vec<Line> {
        let lines = |starts_there: &dyn Fn(&Route) -> bool| {
            let routes = self.routes.iter().filter(|route| starts_there(route));
            routes.map(|route| route.line.clone()).collect::<Vec<_>>()
        };
        let own = lines(&|route| route.depot.as_ref() == Some(&depot.pool));
        if own.is_empty() { lines(&|_| true).into_iter().chain(self.nameless.clone()).collect() } else { own }
    }

    /// The ids of the routes that have one.
    pub(in crate::cli) fn route_ids(&self) -> Vec<&str> {
        self.routes.iter().map(|route| route.pool.id()).collect()
    }
}

/// A route with its stops at equal distances, the first at the start and the last at the end.
fn route(id: &str, line: Line, properties: &Properties) -> anyhow::Result<Route> {
    let pool = Pool::of(PoolKind::Route, id)?;
    let depot = properties.depot_id.as_deref().map(|id| Pool::of(PoolKind::Depot, id)).transpose()?;
    let number = properties.stops.unwrap_or(0);
    if number == 1 || number > STOPS_MAX {
        bail!("route {id} has {number} stops: it takes 2 to {STOPS_MAX}, or none");
    }
    let gap = line.length_m() / f64::from(number.saturating_sub(1).max(1));
    let stops = (0..number).map(|stop| f64::from(stop) * gap).collect();
    Ok(Route { pool, line, stops, depot })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lantern_bay_has_three_routes_and_two_depots() {
        let bay = Network::lantern_bay();
        assert_eq!(bay.route_ids(), ["12", "27", "40"]);
        for id in bay.route_ids() {
            let route = bay.route(id).unwrap();
            let km = route.line.length_m() / 1_000.0;
            assert!((5.0..8.0).contains(&km), "route {id}: {km} km");
            assert!((13..=17).contains(&route.stops.len()), "route {id}");
            let last = route.stops.last().unwrap();
            assert!((last - route.line.length_m()).abs() < 1e-6, "the last stop is the end");
        }
        for (id, lines) in [("4", 2), ("7", 1)] {
            let depot = bay.depot(id).unwrap();
            let from = bay.lines_from(&depot);
            assert_eq!(from.len(), lines);
            assert!(from.iter().all(|line| line.at(0.0).distance_m(depot.position) < 200.0));
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let bay = Network::lantern_bay();
        assert!(bay.route("13").unwrap_err().to_string().contains("12, 27, 40"));
        assert!(bay.depot("13").unwrap_err().to_string().contains("4, 7"));
    }

    #[test]
    fn a_bare_line_is_any_route_and_any_depot() {
        for text in [
            r#"{"type":"LineString","coordinates":[[-27.0,47.0],[-27.01,47.0,12.5]]}"#,
            r#"{"type":"Feature","properties":null,"geometry":{"type":"LineString","coordinates":[[-27.0,47.0],[-27.01,47.0]]}}"#,
        ] {
            let network = Network::read(text).unwrap();
            assert_eq!(network.route("R-1").unwrap().pool.as_str(), "route:R-1");
            let depot = network.depot("D").unwrap();
            assert_eq!((depot.position.lat(), network.lines_from(&depot).len()), (47.0, 1));
            assert!(network.route("a b").is_err());
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for (text, why) in [
            ("{", "GeoJSON"),
            (r#"{"type":"Polygon","coordinates":[]}"#, "no LineString"),
            (r#"{"type":"LineString","coordinates":[[0,0]]}"#, "two different points"),
            (r#"{"type":"LineString","coordinates":[[0,0],[0]]}"#, "longitude"),
            (r#"{"type":"LineString","coordinates":[[0,0],[0,91]]}"#, "85.05"),
            (
                r#"{"type":"FeatureCollection","features":[
                    {"type":"Feature","geometry":{"type":"LineString","coordinates":[[0,0],[1,1]]}},
                    {"type":"Feature","geometry":{"type":"LineString","coordinates":[[0,0],[1,1]]}}]}"#,
                "route_id",
            ),
            (
                r#"{"type":"Feature","properties":{"route_id":1,"stops":1},
                    "geometry":{"type":"LineString","coordinates":[[0,0],[1,1]]}}"#,
                "1 stops",
            ),
        ] {
            let told = format!("{:#}", Network::read(text).expect_err(text));
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
