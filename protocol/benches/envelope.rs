//! What it costs to read and write one message.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use signalbox_protocol::catalogue;
use signalbox_protocol::envelope::{Incoming, Stamp, write_event};

fn main() {
    divan::main();
}

/// A vehicle's position as a client sends it, 200 bytes.
const POSITION: &str = concat!(
    r#"{"type":"vehicle:position_update","target":"route:12","data":{"vehicle_id":"V17","route_id":"12","#,
    r#""lat":13.193887,"lon":-59.543198,"speed_kmh":41.5,"heading_deg":270,"passengers":11,"next":"Bathsheb"}}"#,
);

/// A message with every field of the envelope, 360 bytes.
const COMPLETE: &str = concat!(
    r#"{"id":"019b7892-1c00-7a31-b6c4-5d0f21c8e907","type":"vehicle:position_update","#,
    r#""timestamp":"2026-01-01T08:00:00.000Z","source":"vehicle:V17","target":["route:12","depot:4"],"#,
    r#""correlationId":"019b7892-1c00-7a31-b6c4-5d0f21c8e908","metadata":{"ack":true,"trace":"a1b2c3d"},"#,
    r#""data":{"vehicle_id":"V17","position":{"lat":13.193887,"lon":-59.543198},"speed_kmh":41.5}}"#
);

const STAMP: Stamp<'static> = Stamp {
    id: "019b7892-1c00-7a31-b6c4-5d0f21c8e907",
    timestamp_ms: 1_767_254_400_000,
    source: "vehicle:V17",
};

#[divan::bench]
fn parse_200_bytes(bencher: Bencher<'_, '_>) {
    assert_eq!(POSITION.len(), 200);
    parse(bencher, POSITION);
}

#[divan::bench]
fn parse_360_bytes_every_field(bencher: Bencher<'_, '_>) {
    assert_eq!(COMPLETE.len(), 360);
    parse(bencher, COMPLETE);
}

#[divan::bench]
fn parse_60_kib_of_data(bencher: Bencher<'_, '_>) {
    parse(
        bencher,
        &format!(r#"{{"type":"chat:line","data":[{}1]}}"#, r#"{"a":1.5,"b":"text"},"#.repeat(3_000)),
    );
}

fn parse(bencher: Bencher<'_, '_>, text: &str) {
    bencher.counter(BytesCount::of_str(text)).bench(|| Incoming::parse(black_box(text)).is_ok());
}

#[divan::bench]
fn write_200_bytes(bencher: Bencher<'_, '_>) {
    let incoming = Incoming::parse(POSITION).expect("the sample is valid");
    let mut out = Vec::with_capacity(1024);
    bencher.bench_local(|| {
        out.clear();
        write_event(&mut out, black_box(&incoming), black_box(&STAMP));
        out.len()
    });
}

#[divan::bench]
fn look_up_in_the_catalogue(bencher: Bencher<'_, '_>) {
    bencher.bench(|| catalogue::of(black_box("vehicle:position_update")));
}

#[divan::bench]
fn conflation_key(bencher: Bencher<'_, '_>) {
    bencher.bench(|| {
        signalbox_protocol::conflation_key(black_box("vehicle:position_update"), "route:12", "vehicle:V17")
    });
}
