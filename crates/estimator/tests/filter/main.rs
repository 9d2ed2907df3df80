//! What the filter promises, a file a promise; one program, for building one costs more than running it.

#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::expect_used, reason = "tests on vectors of fixed dimension")]

mod bits;
mod energy;
mod frame;
mod gate;
mod hostile;
mod joseph;
mod model;
mod monitors;
mod parity;
mod shift;
mod step;
mod vectors;
mod verdicts;
