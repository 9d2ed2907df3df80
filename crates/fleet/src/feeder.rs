//! A low-voltage feeder with a thief on it: what its meters report every quarter of an hour, and the truth beside it.
//!
//! Twenty houses on five poles, one phase; a meter where the line begins, and one in each house. Physics once a minute: loads, the
//! drop of voltage along the line and the services, what the conductors lose. Meters have gains of their own, registers of whole Wh,
//! voltages of 0.1 V.
//!
//! The model, its figures and the kinds of theft are those of a numpy benchmark; the six kinds named after their number are those of
//! Jokar, Arianpoo, Leung, "Electricity theft detection in AMI using customers' consumption patterns" (IEEE Trans. Smart Grid, 2016).
//! Its random numbers are not reproduced: distributions are the same, seeds are our own.

#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a simulation of fixed dimensions; nothing comes from outside"
)]

mod load;
mod metering;
mod physics;
mod records;
mod theft;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use records::{house_meter, line_meter, pole_name, records, topology};
pub use theft::{Theft, TheftKind};

/// Houses of a feeder.
pub const HOUSES: usize = 20;
/// Its poles; as many houses on each.
pub const POLES: usize = 5;
/// Resistance of the main line between two poles, in ohm, both conductors.
pub const MAIN_OHM: f64 = 0.035;
/// Resistance of each house's service, in ohm, both conductors.
pub const SERVICE_OHM: f64 = 0.095;
/// Length of a reported interval, in minutes.
pub const INTERVAL_MIN: usize = 15;
/// Intervals of a day.
pub const INTERVALS_A_DAY: usize = DAY_MIN / INTERVAL_MIN;

const DAY_MIN: usize = 24 * 60;

/// The pole of a house.
pub const fn pole(house: usize) -> usize {
    house * POLES / HOUSES
}

/// What differs between feeders besides chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeederConfig {
    /// How long it is watched, in days.
    pub days: usize,
    /// Harder: power factors wander, conductors warm and cool by ±13 K, clocks are off by up to 20 s, one interval in a hundred is lost
    /// and filled in between its neighbours.
    pub stress: bool,
    /// What is stolen.
    pub theft: Option<Theft>,
}

impl Default for FeederConfig {
    fn default() -> Self {
        Self { days: 60, stress: false, theft: None }
    }
}

/// What the meters report for a quarter of an hour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interval {
    /// Energy that entered the line, in Wh.
    pub line_wh: f64,
    /// Mean square of the current that entered it, in A².
    pub line_current_squared: f64,
    /// Mean of that current, in A.
    pub line_current: f64,
    /// Mean voltage where the line begins, in V.
    pub line_voltage: f64,
    /// What each house's meter says.
    pub houses: Vec<HouseInterval>,
    /// What nobody is told.
    pub truth: Truth,
}

/// What a house's meter reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HouseInterval {
    /// Difference of its register, in Wh.
    pub energy_wh: f64,
    /// Mean voltage in V.
    pub voltage: f64,
}

/// What really happened in a quarter of an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Truth {
    /// Used and not registered, in Wh; less than nothing where a meter registers too much.
    pub stolen_wh: f64,
    /// What line and services lost, in Wh.
    pub loss_wh: f64,
    /// What entered the line, in Wh.
    pub line_wh: f64,
}

/// What a feeder's meters report, an interval after the other. The same seed and configuration give the same.
pub fn simulate(seed: u64, config: &FeederConfig) -> Vec<Interval> {
    let used = load::houses(seed, config.days);
    let registered = theft::registered(seed, &used, config.theft);
    let minutes = physics::run(seed, config, &used, registered.as_ref());
    metering::report(seed, config, &minutes, registered.as_ref())
}

/// What draws random numbers: each has a stream of its own, so that a theft does not change the weather.
#[derive(Clone, Copy, Debug)]
enum Stream {
    House(usize),
    Theft,
    Supply,
    PowerFactor(usize),
    Sensors,
    Clocks,
}

fn random(seed: u64, stream: Stream) -> ChaCha8Rng {
    let number = match stream {
        Stream::Theft => 0,
        Stream::Supply => 1,
        Stream::Sensors => 2,
        Stream::Clocks => 3,
        Stream::House(house) => 100 + house as u64,
        Stream::PowerFactor(house) => 200 + house as u64,
    };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    random
}
