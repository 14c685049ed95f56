//! Signalbox beside others: by the same clients, in the same run. Where another product is not installed it has to be refused
//! by name; what is measured of it is checked where it is.

use crate::load::{Load, number};

const LINE: &str = "--clients 6 --rate 100 --seconds 0.5 --warm-up-seconds 0.2";

#[tokio::test]
async fn signalbox_is_measured_as_others_are() {
    for (measure, expected) in [
        ("fanout", [("deliveries_per_second", 1.0), ("delivered", 420.0)]),
        ("unicast", [("messages_per_second", 1.0), ("delivered", 70.0)]),
        ("unicast --full-speed", [("messages_per_second", 1.0), ("cpu_us_per_message", 0.001)]),
        ("idle", [("connects_per_second", 1.0), ("resident_bytes_before", 1.0)]),
    ] {
        let line = format!("peers --product signalbox --measure {measure} {LINE}");
        let results = Load::new().results(&line).await;
        for (name, least) in expected {
            assert!(number(&results, &format!("signalbox_{name}")) >= least, "{measure}: {results:#}");
        }
    }
}

#[tokio::test]
async fn other_products_are_measured_or_refused_by_name() {
    for (product, package) in
        [("nats", "nats-server"), ("nchan", "libnginx-mod-nchan"), ("socketio", "socket.io")]
    {
        let load = Load::new();
        let line = format!("peers --product {product} --measure unicast {LINE}");
        let outcome = load.end(load.spawn(&line, &Load::binary())).await;
        assert_eq!(load.left_behind(), 0);
        let Some(report) = outcome.report else {
            let refused = format!("not installed: it is Debian's package {package}");
            let needs_folder = "not known to be installed: install npm's socket.io";
            assert!(
                outcome.output.contains(&refused) || outcome.output.contains(needs_folder),
                "{product}: {}",
                outcome.output
            );
            continue;
        };
        let of = |name: &str| number(&report["results"], &format!("{product}_{name}"));
        assert_eq!((of("sent"), of("delivered"), of("lost")), (70.0, 70.0, 0.0), "{}", outcome.output);
    }
}

#[tokio::test]
async fn what_is_lost_repeated_or_overtaken_is_found_beside_others_too() {
    for (flaw, told) in [
        ("lost", "1 messages lost, 0 duplicated, 0 reordered"),
        ("repeated", "0 messages lost, 1 duplicated, 0 reordered"),
        ("overtaken", "0 messages lost, 0 duplicated, 1 reordered"),
    ] {
        for measure in ["fanout", "unicast", "unicast --full-speed"] {
            let load = Load::new();
            let line = format!("peers --product signalbox --measure {measure} {LINE} --plant {flaw}");
            let outcome = load.end(load.spawn(&line, &Load::binary())).await;
            let told = format!("FAILED: signalbox: {told}");
            assert!(!outcome.success && outcome.output.contains(&told), "{measure}: {}", outcome.output);
        }
    }
}
