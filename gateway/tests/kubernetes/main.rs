//! The manifests of `k8s/`, held to what a node really does: its settings, its paths, and the time that its stop takes.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod manifests;

use std::time::Duration;

use serde_json::{Value, json};
use signalbox_gateway::Gateway;
use signalbox_gateway::config::Config;
use signalbox_gateway::stop::{Pace, time_to_part};

use self::manifests::{Manifests, SECRETS};

const OVERLAYS: [&str; 2] = ["development", "production"];
/// What ending the process takes when the stop itself has used all of its time.
const PROCESS_END: Duration = Duration::from_secs(5);

#[test]
fn every_overlay_is_valid_and_its_settings_are_those_of_a_node() {
    for overlay in OVERLAYS {
        let manifests = Manifests::judged(overlay);
        let config = manifests.config();
        assert!(config.redis.url.is_some() && !config.listens_on_loopback(), "{overlay}");
        assert_eq!(config.node.advertise.as_deref(), Some("10.1.2.3:8080"));
        let generated = &manifests.one("ConfigMap", "signalbox")["metadata"]["name"];
        assert_eq!(&manifests.container()["envFrom"][0]["configMapRef"]["name"], generated);
        let mount = &manifests.container()["volumeMounts"][0];
        assert_eq!(format!("{}/", mount["mountPath"].as_str().unwrap()), SECRETS);
    }
    // The base alone is refused: it says nothing of whom to believe.
    let base = Manifests::judged("base");
    assert!(base.all("Secret").next().is_none());
}

#[test]
fn the_grace_period_is_longer_than_the_longest_drain() {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay);
        let Config { stop, limits, close, .. } = manifests.config();
        assert!(limits.connections_max > 0, "{overlay}: a drain without an end");
        let closing = Pace::new(stop.closes_per_second).due(limits.connections_max.into());
        let parting = stop.balancer_wait + closing + close.timeout;
        assert!(parting <= time_to_part(stop.timeout), "{overlay}: {parting:?} of {:?}", stop.timeout);
        let pre_stop = seconds(&manifests.container()["lifecycle"]["preStop"]["sleep"]["seconds"]);
        let grace = seconds(&manifests.pod()["terminationGracePeriodSeconds"]);
        assert!(grace >= pre_stop + stop.timeout + PROCESS_END, "{overlay}: {grace:?}");
        let progress = &manifests.one("Deployment", "signalbox")["spec"]["progressDeadlineSeconds"];
        assert!(seconds(progress) > 2 * grace, "{overlay}");
    }
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or_else(|| panic!("no seconds: {value}")))
}

#[test]
fn probes_and_scrapes_ask_paths_that_a_node_has_and_only_readiness_depends_on_redis() {
    let manifests = Manifests::of("production");
    let described = signalbox_gateway::http::openapi::describe();
    let probe = |name: &str| manifests.container()[name]["httpGet"].clone();
    for (name, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(probe(name), json!({"path": path, "port": "http"}), "{name}");
        assert!(described["paths"][path].is_object(), "{path}");
    }
    let scrape = &manifests.one("PodMonitor", "signalbox")["spec"]["podMetricsEndpoints"][0];
    assert_eq!((&scrape["path"], &scrape["port"]), (&json!("/metrics"), &json!("http")));
    let port = &manifests.container()["ports"][0];
    assert_eq!(port["name"], "http");
    assert_eq!(port["containerPort"], manifests.config().listen.port());
    assert_eq!(manifests.one("Service", "signalbox")["spec"]["ports"][0]["targetPort"], "http");
}

#[test]
fn everything_that_selects_pods_selects_the_nodes() {
    let manifests = Manifests::of("production");
    let labels = manifests.labels().as_object().unwrap();
    let selects = |what: &str, selector: &Value| {
        let wanted = selector.as_object().unwrap_or_else(|| panic!("{what} selects nothing"));
        assert!(!wanted.is_empty(), "{what} selects everything");
        for (name, value) in wanted {
            assert_eq!(labels.get(name), Some(value), "{what}");
        }
    };
    selects("service", &manifests.one("Service", "signalbox")["spec"]["selector"]);
    for (kind, selector) in [
        ("Deployment", "/spec/selector/matchLabels"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
        ("PodMonitor", "/spec/selector/matchLabels"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
    ] {
        manifests.all(kind).for_each(|one| selects(kind, one.pointer(selector).unwrap()));
    }
    for spread in manifests.pod()["topologySpreadConstraints"].as_array().unwrap() {
        selects("topology", &spread["labelSelector"]["matchLabels"]);
    }
    let scaled = &manifests.one("HorizontalPodAutoscaler", "signalbox")["spec"]["scaleTargetRef"];
    assert_eq!(scaled, &json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "signalbox"}));
}

#[tokio::test]
async fn the_scale_leaves_room_for_a_node_that_is_gone_and_counts_what_a_node_tells() {
    let manifests = Manifests::of("production");
    let scale = &manifests.one("HorizontalPodAutoscaler", "signalbox")["spec"];
    let metric = &scale["metrics"][0]["pods"];
    let name = metric["metric"]["name"].as_str().unwrap();
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let gateway = Gateway::build(&config).unwrap();
    let scraped = gateway.node().metrics.render(&gateway.node().readings());
    assert!(String::from_utf8(scraped).unwrap().contains(&format!("\n{name} ")), "{name}");
    let wanted: u32 = metric["target"]["averageValue"].as_str().unwrap().parse().unwrap();
    let least = u32::try_from(scale["minReplicas"].as_u64().unwrap()).unwrap();
    let room = (least - 1) * manifests.config().limits.connections_max;
    assert!(least * wanted <= room, "with one of {least} away there is room for {room}");
    let down = &scale["behavior"]["scaleDown"];
    assert_eq!(down["policies"].as_array().unwrap().len(), 1);
    let (policy, grace) = (&down["policies"][0], seconds(&manifests.pod()["terminationGracePeriodSeconds"]));
    assert_eq!((&policy["type"], &policy["value"]), (&json!("Pods"), &json!(1)), "one after the other");
    assert!(
        seconds(&policy["periodSeconds"]) > grace && seconds(&down["stabilizationWindowSeconds"]) > grace
    );
    assert!(manifests.one("Deployment", "signalbox")["spec"].get("replicas").is_none(), "who decides?");
}

#[test]
fn an_update_never_leaves_less_room_and_connections_live_for_an_hour_in_the_ingress() {
    let manifests = Manifests::of("production");
    let update = &manifests.one("Deployment", "signalbox")["spec"]["strategy"]["rollingUpdate"];
    assert_eq!(update, &json!({"maxSurge": 1, "maxUnavailable": 0}));
    let ingress = manifests.one("Ingress", "signalbox");
    let annotation = |name: &str| {
        let value = &ingress["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/{name}")];
        value.as_str().unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    for timeout in ["proxy-read-timeout", "proxy-send-timeout"] {
        assert_eq!(annotation(timeout), "3600");
    }
    assert!(Duration::from_secs(3600) >= 2 * manifests.config().heartbeat.timeout);
    assert_eq!(annotation("proxy-next-upstream"), "error timeout http_502 http_503");
    let backends = ingress["spec"]["rules"][0]["http"]["paths"].as_array().unwrap();
    let paths: Vec<_> = backends.iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/ws", "/api"], "health and metrics stay inside");
}

#[test]
fn pods_can_do_no_more_than_they_need() {
    for overlay in OVERLAYS {
        let manifests = Manifests::of(overlay);
        for pod in manifests.all("Deployment").chain(manifests.all("StatefulSet")) {
            let pod = &pod["spec"]["template"]["spec"];
            assert_eq!(pod["automountServiceAccountToken"], false, "{overlay}");
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{overlay}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{overlay}");
            let expected = json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            });
            assert_eq!(pod["containers"][0]["securityContext"], expected, "{overlay}");
        }
    }
}

#[test]
fn no_secret_is_in_the_manifests() {
    let production = Manifests::of("production");
    let url = production.secret("redis-url");
    let (_, host) = url.rsplit_once('@').unwrap();
    assert!(host.starts_with("redis.example.invalid:"), "a name that can't be anybody's");
    assert!(!Manifests::of("development").secret("redis-url").contains('@'), "no password");
}
