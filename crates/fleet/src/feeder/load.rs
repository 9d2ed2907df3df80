//! What the houses draw, a value a minute.

use rand::RngExt;
use rand_distr::{Exp1, StandardNormal};

use super::{DAY_MIN, HOUSES, Stream, random};

/// Appliances: power in W, uses an hour at full activity, mean minutes of a use.
const APPLIANCES: [(f64, f64, f64); 6] =
    [(2000.0, 1.2, 3.0), (1800.0, 0.35, 30.0), (1100.0, 0.8, 4.0), (2100.0, 0.25, 50.0), (300.0, 1.5, 60.0), (900.0, 0.5, 40.0)];

/// What all houses draw.
pub struct Used {
    /// Active power in W by house and minute.
    pub watts: Vec<Vec<f64>>,
    /// Their power factors.
    pub power_factor: Vec<f64>,
}

pub fn houses(seed: u64, days: usize) -> Used {
    let (watts, power_factor): (Vec<_>, Vec<_>) = (0..HOUSES).map(|house| one(seed, house, days)).unzip();
    Used { watts, power_factor }
}

/// Power in W by minute, and the power factor.
fn one(seed: u64, house: usize, days: usize) -> (Vec<f64>, f64) {
    let mut random = random(seed, Stream::House(house));
    let power_factor = random.random_range(0.86..0.98);
    let base = random.random_range(60.0..200.0);
    let occupants = random.random_range(0.6..1.5);
    let cooled = random.random_bool(0.4);
    let wakes: f64 = 6.8 + 0.7 * random.sample::<f64, _>(StandardNormal);
    let sleeps: f64 = 22.8 + 0.8 * random.sample::<f64, _>(StandardNormal);
    let away = random.random_bool(0.6);
    let fridge = random.random_range(0.0..40.0);
    let scale = APPLIANCES.map(|_| random.random_range(0.8..1.2));
    let mut left = [0.0; APPLIANCES.len()];
    let mut wander = 1.0;
    let watts = (0..days * DAY_MIN).map(|minute| {
        let (hour, weekday) = ((minute % DAY_MIN) as f64 / 60.0, minute / DAY_MIN % 7);
        wander += (1.0 - wander) / 60.0 + 0.05 * random.sample::<f64, _>(StandardNormal);
        let activity = occupants * activity(hour, wakes, sleeps, away && weekday < 5);
        let mut watts = base * f64::max(wander, 0.3) + activity * 120.0;
        if (minute as f64 + fridge) % 45.0 < 17.0 {
            watts += 90.0;
        }
        for ((plate, uses, minutes), (left, scale)) in APPLIANCES.iter().zip(left.iter_mut().zip(scale)) {
            if *left <= 0.0 && random.random::<f64>() < uses / 60.0 * activity * 0.35 {
                *left = minutes * random.sample::<f64, _>(Exp1) + 1.0;
            }
            if *left > 0.0 {
                watts += plate * scale * random.random_range(0.7..1.0);
                *left -= 1.0;
            }
        }
        if cooled && hour > 12.0 && hour < 23.0 && minute / 20 % 2 == 0 {
            watts += 700.0;
        }
        watts
    });
    (watts.collect(), power_factor)
}

fn activity(hour: f64, wakes: f64, sleeps: f64, away: bool) -> f64 {
    if hour > 17.0 && hour < sleeps {
        1.3
    } else if hour >= wakes + 2.0 && hour <= 17.0 {
        if away { 0.3 } else { 0.7 }
    } else if hour > wakes && hour < wakes + 2.0 {
        1.0
    } else {
        0.15
    }
}
