//! What meters say, as hostile as it gets. The fuzz targets in `fuzz/` do what stands here; their corpora are replayed by the ordinary tests.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "test code: what is not there fails the test"
)]

mod optical;
mod pzem;
mod sml;
mod telegrams;

use std::fs;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0usize;
    for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        // Named when it fails.
        eprintln!("{}", path.display());
        let bytes = fs::read(&path).unwrap();
        check(&bytes);
        // Whatever is cut off or follows is as hostile.
        (0..bytes.len()).for_each(|len| check(bytes.get(..len).unwrap_or_default()));
        count = count.saturating_add(1);
    }
    assert!(count >= 6, "{}: only {count} inputs", dir.display());
}

#[test]
fn telegrams() {
    replay("telegrams", telegrams::check);
}

#[test]
fn sml_transmissions() {
    replay("sml", sml::check);
}

#[test]
fn optical_conversations() {
    replay("optical", optical::check);
}

#[test]
fn pzem_replies() {
    replay("pzem", pzem::check);
}
