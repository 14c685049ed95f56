//! What it costs to read and write one message.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use signalbox_protocol::envelope::{Incoming, Stamp, write_event};

fn main() {
    divan::main();
}

/// A vehicle's position as a client sends it, 200 bytes.
const POSITION: &str = concat!(
    r#"{"type":"vehicle:position_update","target":"route:12","data":{"vehicle_id":"V17","route_id":"12","#,
    r#""position":{"lat":13.193887,"lon":-59.543198},"speed_kmh":41.5,"heading":270,"passengers":11}}"#,
    "       "
);

/// The same with every field of the envelope given.
const COMPLETE: &str = concat!(
    r#"{"id":"0192f0c1-2b3c-7d4e-8f50-617283940a1b","type":"vehicle:position_update","#,
    r#""timestamp":"2026-01-01T08:00:00.000Z","source":"vehicle:V17","target":["route:12","depot:4"],"#,
    r#""correlationId":"0192f0c1-2b3c-7d4e-8f50-617283940a1c","metadata":{"ack":true,"trace":"a1b2"},"#,
    r#""data":{"vehicle_id":"V17","position":{"lat":13.193887,"lon":-59.543198},"speed_kmh":41.5}}"#
);

const STAMP: Stamp<'static> = Stamp {
    id: "0192f0c1-2b3c-7d4e-8f50-617283940a1b",
    timestamp_ms: 1_767_254_400_000,
    source: "vehicle:V17",
};

#[divan::bench(args = [POSITION, COMPLETE])]
fn parse(bencher: Bencher<'_, '_>, text: &str) {
    bencher.counter(BytesCount::of_str(text)).bench(|| Incoming::parse(black_box(text)));
}

#[divan::bench]
fn parse_60_kib_of_data(bencher: Bencher<'_, '_>) {
    let text = format!(r#"{{"type":"chat:line","data":[{}1]}}"#, r#"{"a":1.5,"b":"text"},"#.repeat(3_000));
    bencher.counter(BytesCount::of_str(&text)).bench(|| Incoming::parse(black_box(&text)).map(|_| ()));
}

#[divan::bench]
fn write(bencher: Bencher<'_, '_>) {
    let incoming = Incoming::parse(POSITION).expect("the sample is valid");
    let mut out = Vec::with_capacity(1024);
    bencher.bench_local(|| {
        out.clear();
        write_event(&mut out, black_box(&incoming), black_box(&STAMP));
        out.len()
    });
}
