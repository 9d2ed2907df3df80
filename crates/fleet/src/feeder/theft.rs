//! How energy is stolen, or registers wrong: what a meter counts instead of what is used.

use rand::RngExt;

use super::load::Used;
use super::{DAY_MIN, HOUSES, POLES, Stream, pole, random};

/// Days over which a drift grows.
const DRIFT_DAYS: f64 = 20.0;
const HOUR_MIN: usize = 60;

/// One theft on a feeder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Theft {
    /// How.
    pub kind: TheftKind,
    /// Whose meter it is; of a tap, on whose pole.
    pub house: usize,
    /// The first day of it.
    pub from_day: usize,
}

/// How energy is stolen. The load goes on as before in all of them; the meter registers something else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TheftKind {
    /// h1: this share of it, always: a partial bypass, a shunt, a calibration that is off (above 1: over-reading).
    Scaled(f64),
    /// h2: nothing from 18 to 23 o'clock.
    EveningZero,
    /// h3: a random share, at least this, anew every hour.
    RandomScale(f64),
    /// h4: a random share of the mean of the days before, anew every hour.
    RandomMean,
    /// h5: always the mean of the days before. No energy is stolen: it cheats a tariff by the hour.
    Mean,
    /// h6: each day backwards. No energy is stolen either.
    DayReversed,
    /// Less and less, down to this share after twenty days.
    Drift(f64),
    /// Never more than this, in W.
    Capped(f64),
    /// A hook on the line at the pole, without a meter: so many W from 17 to 7 o'clock.
    Tap(f64),
    /// This share in a random half of the hours: a remote control switches a slowing circuit.
    SlowedByRemote(f64),
    /// The register counts backwards.
    RegisterReversed,
    /// A lifted or resistive neutral: the meter sees this share of the voltage, and so registers this share of the power.
    NeutralLifted(f64),
    /// A discharge stopped the electronics: register and voltage stand still.
    Frozen,
}

impl TheftKind {
    /// Whether it is behind a meter, and not on the line.
    pub const fn is_behind_a_meter(self) -> bool {
        !matches!(self, Self::Tap(_))
    }
}

/// What the meters are given to count.
pub struct Registered {
    /// Whose meter counts something else.
    pub house: usize,
    /// What it counts, in W by minute; none of a tap.
    pub watts: Option<Vec<f64>>,
    /// From this minute on.
    pub from_minute: usize,
    /// What the tap draws at its pole, in W by minute.
    pub tap: Option<Vec<f64>>,
    /// What it makes of the voltage.
    pub voltage: VoltageRegister,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum VoltageRegister {
    Scaled(f64),
    Frozen,
}

/// What the thief's meter counts. Uniform draws of an hour are made whether they are used or not.
pub fn registered(seed: u64, used: &Used, theft: Option<Theft>) -> Option<Registered> {
    let theft = theft?;
    let truth = used.watts.get(theft.house)?;
    let mut random = random(seed, Stream::Theft);
    let from = (theft.from_day * DAY_MIN).min(truth.len());
    let hours: Vec<f64> = (0..truth.len().div_ceil(HOUR_MIN)).map(|_| random.random()).collect();
    let mean = truth[..from].iter().sum::<f64>() / from.max(1) as f64;
    let counts = |minute: usize| {
        let (watts, of_day, chance) = (truth[minute], minute % DAY_MIN, hours[minute / HOUR_MIN]);
        match theft.kind {
            TheftKind::Scaled(share) | TheftKind::NeutralLifted(share) => share * watts,
            TheftKind::EveningZero if (18 * HOUR_MIN..23 * HOUR_MIN).contains(&of_day) => 0.0,
            TheftKind::RandomScale(least) => (least + (1.0 - least) * chance) * watts,
            TheftKind::RandomMean => (0.1 + 0.7 * chance) * mean,
            TheftKind::Mean => mean,
            TheftKind::DayReversed => truth[minute - of_day + DAY_MIN - 1 - of_day],
            TheftKind::Drift(to) => (1.0 - (1.0 - to) * (minute - from) as f64 / (DRIFT_DAYS * DAY_MIN as f64)).clamp(to, 1.0) * watts,
            TheftKind::Capped(most) => watts.min(most),
            TheftKind::SlowedByRemote(share) if chance < 0.5 => share * watts,
            TheftKind::RegisterReversed => -watts,
            TheftKind::Frozen => 0.0,
            TheftKind::EveningZero | TheftKind::SlowedByRemote(_) | TheftKind::Tap(_) => watts,
        }
    };
    let watts = theft.kind.is_behind_a_meter().then(|| (0..truth.len()).map(|at| if at < from { truth[at] } else { counts(at) }).collect());
    let tap = match theft.kind {
        TheftKind::Tap(watts) => Some((0..truth.len()).map(|at| if at >= from && is_dark(at) { watts } else { 0.0 }).collect()),
        _ => None,
    };
    let voltage = match theft.kind {
        TheftKind::NeutralLifted(share) => VoltageRegister::Scaled(share),
        TheftKind::Frozen => VoltageRegister::Frozen,
        _ => VoltageRegister::Scaled(1.0),
    };
    Some(Registered { house: theft.house, watts, from_minute: from, tap, voltage })
}

fn is_dark(minute: usize) -> bool {
    !(7 * HOUR_MIN..17 * HOUR_MIN).contains(&(minute % DAY_MIN))
}

const _: () = assert!(pole(HOUSES - 1) == POLES - 1);
