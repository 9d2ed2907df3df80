//! Any bytes as a German meter's stream, and as the inside of a transmission.

use meters::sml::{ENTRIES_MAX, Readout, Receiver};

/// Panics if what the receiver promises does not hold.
pub fn check(bytes: &[u8]) {
    let mut receiver = Receiver::<1_024>::default();
    for byte in bytes {
        if let Ok(Some(messages)) = receiver.push(*byte) {
            assert!(messages.len() <= 1_024);
            inside(messages);
        }
    }
    // The check sums in front of it are not in the way here.
    inside(bytes);
}

fn inside(messages: &[u8]) {
    let Ok(readout) = Readout::parse(messages) else { return };
    assert!(readout.entries().len() <= ENTRIES_MAX);
    for entry in readout.entries() {
        assert!(entry.name.is_empty() || messages.windows(entry.name.len()).any(|window| window == entry.name));
        let _ = entry.quantity();
    }
    let _ = (readout.find(1, 8, 0), readout.server);
}
