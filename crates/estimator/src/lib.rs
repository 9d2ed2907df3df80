//! The extended Kalman filter of one metering point.
//!
//! Six states describe a household behind its service loop: the voltage `Vs` behind the loop (V), the active current `Ia = P/V` (A),
//! the rms current `I` (A), the frequency `f` (Hz), the loop resistance `Rs` (ohm) and the energy `E` (Wh). With `Ia` and `I` as
//! states the measurement is bilinear and has no singularity at a power factor of one, which a state pair (P, Q) has.
//!
//! The rooms, from the bottom:
//! - [`real`]: `f32` and `f64` by one trait, and the elementary functions the model needs;
//! - [`symmetric`]: a symmetric matrix in the shape of the states' covariance, in rows of four;
//! - [`filter`]: mean and covariance, predict, sequential update in Joseph form; knows nothing about electricity;
//! - [`load`]: the household model, what the filter is told about physics and sensors;
//! - [`joint`]: innovations taken together;
//! - [`rounding`]: a frequency with fewer digits than noise;
//! - [`gate`]: which explanation a surprising sample gets (a switched load, a shifted supply, bad data);
//! - [`monitor`]: what watches the meter beside the filter (implausible, stuck and replayed frames, noise, theft);
//! - [`energy`]: integration between the ticks of the meter's register;
//! - [`sample`]: what goes in and what comes out;
//! - [`estimator`]: all of it, one call a sample.
//!
//! The step uses + − × ÷ and comparisons of IEEE 754 only, in a fixed order; square root, exponential and logarithm are made of them.
//! So a step gives the same bits on every target. Nothing here allocates, reads a clock or panics, whatever the samples are.
#![no_std]
#![expect(
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    clippy::arithmetic_side_effects,
    reason = "fixed 4- and 6-dimensional algebra on floats: every index is a constant or a loop over the dimension"
)]

pub mod energy;
pub mod estimator;
pub mod filter;
pub mod gate;
pub mod joint;
pub mod load;
pub mod monitor;
pub mod real;
pub mod rounding;
pub mod sample;
pub mod symmetric;

pub use energy::Energy;
pub use estimator::Estimator;
pub use load::SensorNoise;
pub use real::Real;
pub use rounding::Rounding;
pub use sample::{Config, Estimate, Evidence, Sample};
