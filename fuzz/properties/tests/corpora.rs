//! Every input that is kept holds what it has to.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use signalbox_fuzz_properties as properties;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target)
}

/// Feeds all inputs of a target, of which there are some.
fn feed(target: &str, property: fn(&[u8])) {
    let mut fed = 0;
    for entry in std::fs::read_dir(corpus(target)).expect("each target has a corpus") {
        let path = entry.expect("a folder that can be read").path();
        let bytes = std::fs::read(&path).expect("an input that can be read");
        let held = catch_unwind(|| property(&bytes)).is_ok();
        assert!(held, "{}", path.display());
        fed += 1;
    }
    assert!(fed >= 3, "{target} has {fed} inputs");
}

macro_rules! corpora {
    ($($target:ident),*) => {
        $(#[test]
        fn $target() {
            feed(stringify!($target), properties::$target);
        })*
    };
}

corpora!(envelope, bus_batch, handshake, resume_positions, token, configuration);
