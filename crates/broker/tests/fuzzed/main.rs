//! What `cargo fuzz` found worth keeping, played again by the functions that it calls: see docs/contributing.md.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code: what is not there fails the test"
)]

mod packets;
mod sequences;

use std::fs;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        // Named when it fails.
        eprintln!("{}", path.display());
        check(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count >= 20, "{}: only {count} inputs", dir.display());
}

#[test]
fn packets() {
    replay("packets", packets::check);
}

#[test]
fn sequences() {
    replay("sequences", sequences::check);
}
