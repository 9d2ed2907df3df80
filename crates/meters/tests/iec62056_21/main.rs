//! IEC 62056-21: captured readouts, bytes that are none, and whole conversations with a simulated meter.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may panic"
)]

mod conversations;
mod fixtures;
mod hostile;
mod readouts;
