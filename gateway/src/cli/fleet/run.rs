//! One run of a fleet: sets it up, lets it drive, ends it in order, and asks the cluster for its side.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use fastrand::Rng;
use hyper::Method;
use serde::Deserialize;
use signalbox_protocol::fleet::{Manifest, NewVehicle};
use signalbox_protocol::{PassengerId, VehicleId};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::FleetArgs;
use super::conductor::Conductor;
use super::display::Display;
use super::link::{Link, NoLink};
use super::listener::Listener;
use super::nodes::Nodes;
use super::shared::Shared;
use super::spawner::Spawner;
use super::summary::Summary;
use super::vehicle::Vehicle;
use crate::cli::http::Http;
use crate::cli::world::{Crowd, Ground, Profile, Route};

/// After the end, boardings whose answer is missing are asked about for so long.
const GRACE: Duration = Duration::from_secs(20);
/// The last announcements may come so late.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

type Listeners = JoinSet<Result<(), NoLink>>;

/// A run that has been set up.
struct Run {
    name: String,
    args_duration: Duration,
    nodes: Arc<Nodes>,
    http: Http,
    shared: Arc<Shared>,
    routes: Vec<Route>,
}

pub(super) async fn run(args: &FleetArgs, nodes: Arc<Nodes>, routes: Vec<Route>) -> anyhow::Result<Summary> {
    nodes.check().await?;
    let shared = Arc::new(Shared::new(args));
    let http = nodes.http();
    let mut run = Run {
        name: name()?,
        args_duration: args.duration(),
        nodes,
        http,
        shared: Arc::clone(&shared),
        routes,
    };
    let mut rng = Rng::with_seed(args.seed);
    let mut listeners = run.listeners().await?;
    run.list_waiting().await?;
    let vehicles = run.vehicles(args, &mut rng).await?;
    let spawner = run.spawner(args, &mut rng).await?;
    let begun = Instant::now();
    let (vehicles, mut breakdowns) = run.drive(vehicles, spawner).await;
    let seconds = begun.elapsed().as_secs_f64();
    breakdowns.extend(run.compare(&vehicles).await);
    breakdowns.extend(deaf(&mut listeners));
    let lost = vehicles.iter().map(|vehicle| vehicle.link.lost()).sum();
    let driven_m = vehicles.iter().map(|vehicle| vehicle.conductor.driven_m()).sum();
    let mut summary = {
        let (audit, tally) = (shared.audit(), shared.tally());
        Summary::new(&run.name, &audit, &tally, (lost, driven_m))
    };
    (summary.vehicles, summary.routes) = (args.vehicles as usize, run.routes.len());
    (summary.seconds, summary.speed, summary.breakdowns) = (seconds, args.speed, breakdowns);
    empty(vehicles).await;
    shared.give_up.cancel();
    listeners.abort_all();
    Ok(summary)
}

/// A name that no other run has: passengers and vehicles are called by it.
pub(super) fn name() -> anyhow::Result<String> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(format!("f{seconds:x}{:02x}", Rng::new().u8(..)))
}

impl Run {
    fn link(&self, agent: (&str, &str), namespace: Option<&'static str>, at: usize) -> Link {
        Link::new(Arc::clone(&self.nodes), agent, namespace, at, self.shared.give_up.clone())
    }

    /// One in the topics of the pools, one in their namespace, at different nodes if there are several.
    async fn listeners(&self) -> anyhow::Result<Listeners> {
        let topics: Vec<String> = self.routes.iter().map(|route| route.pool.to_string()).collect();
        let mut listeners = JoinSet::new();
        for (at, (namespace, topics)) in
            [(None, topics), (Some("route-reservoir"), Vec::new())].into_iter().enumerate()
        {
            let id = format!("{}-{}", self.name, if at == 0 { "pools" } else { "namespace" });
            let link = self.link(("dashboard", &id), namespace, at);
            let listener = Listener::open(link, &topics, Arc::clone(&self.shared)).await?;
            listeners.spawn(listener.listen());
        }
        Ok(listeners)
    }

    /// Who waits already.
    async fn list_waiting(&mut self) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Listed {
            passenger_id: PassengerId,
        }
        #[derive(Deserialize)]
        struct Page {
            items: Vec<Listed>,
            cursor: Option<String>,
        }
        for route in &self.routes {
            let mut cursor: Option<String> = None;
            loop {
                let mut query = vec![("route_id", route.pool.id()), ("state", "waiting"), ("limit", "1000")];
                query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
                let page: Page =
                    self.http.insist(Method::GET, "/api/passengers", &query, "").await?.json()?;
                let mut audit = self.shared.audit();
                page.items.into_iter().for_each(|listed| audit.listed(&listed.passenger_id));
                cursor = page.cursor;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Registers the vehicles and connects them.
    async fn vehicles(&mut self, args: &FleetArgs, rng: &mut Rng) -> anyhow::Result<Vec<Vehicle>> {
        let mut vehicles = Vec::new();
        for number in 0..args.vehicles as usize {
            let route = self.routes[number % self.routes.len()].clone();
            let id = VehicleId::try_new(&format!("{}-V{}", self.name, number + 1))?;
            let conductor = Conductor::new(route.line, args.capacity, rng);
            let vehicle = NewVehicle {
                capacity: args.capacity,
                pool: Some(route.pool.clone()),
                position: Some(conductor.position()),
            };
            let path = format!("/api/vehicles/{id}");
            let answer = self.http.insist(Method::PUT, &path, &[], serde_json::to_vec(&vehicle)?).await?;
            answer.success().with_context(|| format!("vehicle {id} can't be registered"))?;
            self.shared.audit().vehicle(id.clone(), args.capacity);
            let mut link = self.link(("vehicle", id.as_str()), None, number);
            link.client().await?;
            vehicles.push(Vehicle {
                id,
                route: route.pool,
                conductor,
                link,
                shared: Arc::clone(&self.shared),
                rng: rng.fork(),
                unresolved: std::collections::HashSet::new(),
            });
        }
        Ok(vehicles)
    }

    async fn spawner(&self, args: &FleetArgs, rng: &mut Rng) -> anyhow::Result<Spawner> {
        let grounds = self.routes.iter().cloned().map(Ground::Route).collect();
        let crowd = Crowd::new(grounds, Profile::Flat, self.name.clone());
        let rate = (args.spawn_rate / 60.0, self.args_duration);
        let mut spawner = Spawner::new(self.nodes.http(), crowd, rate, rng.fork(), Arc::clone(&self.shared));
        spawner.start_with(args.waiting.unwrap_or(0) as usize).await?;
        Ok(spawner)
    }

    /// Everything moves until the time is over, or somebody presses Ctrl-C. The vehicles come back with what
    /// their conductors know, and why some did not.
    async fn drive(&self, vehicles: Vec<Vehicle>, spawner: Spawner) -> (Vec<Vehicle>, Vec<String>) {
        let driving = vehicles.into_iter().map(Vehicle::work).collect();
        let spawning = JoinSet::from_iter([spawner.spawn()]);
        let mut back = std::pin::pin!(come_back(driving, spawning, self.shared.ending.clone()));
        tokio::select! {
            () = self.watch() => self.shared.ending.cancel(),
            back = &mut back => return back,
        }
        match timeout(GRACE, &mut back).await {
            Ok(back) => back,
            Err(_late) => {
                self.shared.give_up.cancel();
                back.await
            }
        }
    }

    async fn watch(&self) {
        let mut display = Display::start();
        let mut seconds = interval(Duration::from_secs(1));
        seconds.tick().await;
        let end = sleep(self.args_duration);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                _ = tokio::signal::ctrl_c() => break,
                _ = seconds.tick() => display.show(&self.shared),
            }
        }
        display.show(&self.shared);
        display.end();
    }

    /// Holds what the conductors believe against the manifests, and both against the announcements. The answer is
    /// what could not be compared.
    async fn compare(&mut self, vehicles: &[Vehicle]) -> Vec<String> {
        let mut unread = Vec::new();
        for vehicle in vehicles {
            match self.manifest(vehicle).await {
                Ok(manifest) => self.shared.audit().manifest(&manifest, &vehicle.unresolved),
                Err(error) => unread.push(format!("the manifest of {} can't be read: {error:#}", vehicle.id)),
            }
        }
        let settled = async {
            while self.shared.audit().unannounced() > 0 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        // Whatever is still unannounced then is told.
        timeout(SETTLES_WITHIN, settled).await.ok();
        self.shared.audit().finish();
        unread
    }

    async fn manifest(&mut self, vehicle: &Vehicle) -> anyhow::Result<Manifest> {
        let path = format!("/api/vehicles/{}/manifest", vehicle.id);
        self.http.insist(Method::GET, &path, &[], "").await?.json()
    }
}

/// The vehicles that drove to the end, and why the others and the spawner did not.
async fn come_back(
    mut driving: JoinSet<anyhow::Result<Vehicle>>,
    mut spawning: JoinSet<anyhow::Result<()>>,
    ending: CancellationToken,
) -> (Vec<Vehicle>, Vec<String>) {
    let (mut back, mut breakdowns) = (Vec::new(), Vec::new());
    while let Some(joined) = driving.join_next().await {
        match joined.map_err(anyhow::Error::from).flatten() {
            Ok(vehicle) => back.push(vehicle),
            Err(error) => breakdowns.push(format!("{error:#}")),
        }
    }
    // If all broke down, nobody needs passengers.
    ending.cancel();
    while let Some(joined) = spawning.join_next().await {
        let ended = joined.map_err(anyhow::Error::from).flatten();
        breakdowns.extend(ended.err().map(|error| format!("no more passengers: {error:#}")));
    }
    (back, breakdowns)
}

/// Why listeners stopped before the end.
fn deaf(listeners: &mut Listeners) -> Vec<String> {
    let ended = std::iter::from_fn(|| listeners.try_join_next());
    let told = ended.map(|joined| match joined {
        Ok(Ok(())) => "a listener stopped".to_owned(),
        Ok(Err(error)) => format!("a listener stopped: {error}"),
        Err(error) => format!("a listener stopped: {error}"),
    });
    told.collect()
}

/// Lets everybody off, so that the next run starts with nobody on board. Has no influence on the verdict.
async fn empty(vehicles: Vec<Vehicle>) {
    let mut emptying: JoinSet<_> = vehicles.into_iter().map(Vehicle::empty).collect();
    let emptied = async { while emptying.join_next().await.is_some() {} };
    timeout(GRACE, emptied).await.ok();
}
