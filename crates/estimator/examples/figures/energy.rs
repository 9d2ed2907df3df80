//! Energy after a day on which polls were lost, against the truth as the sensor's gain shows it.

use fleet::faults::{Gap, LostPolls, Schedule};
use fleet::household::HouseholdConfig;
use fleet::meter::Meter;

use crate::figure::{Figure, Target};
use crate::run::{DAY_S, Kind, LAGGING, NOISY, PZEM, Watch, all, median, pairs};

const DAYS: u64 = 20;
/// Share of the polls that is lost.
const LOST: f64 = 0.01;
const GAP_S: u64 = 600;

/// What is known of the energy at the end of a day, in Wh.
struct End {
    kind: &'static str,
    off: f64,
    claimed: f64,
    register_off: f64,
}

pub fn figures(seed: u64) -> Vec<Figure> {
    let ends = all("days with lost polls and a gap", &pairs(&[PZEM, NOISY, LAGGING], seed, DAYS), |(kind, seed)| day(*kind, *seed));
    let mut figures = Vec::new();
    for kind in [PZEM, NOISY, LAGGING] {
        let ends: Vec<&End> = ends.iter().filter(|end| end.kind == kind.name).collect();
        let name = |what| format!("energy/{}/{what}", kind.name);
        let rms = |of: fn(&End) -> f64| (ends.iter().map(|end| of(end).powi(2)).sum::<f64>() / ends.len() as f64).sqrt();
        let figure = Figure::new(name("off after a day, rms"), rms(|end| end.off), "Wh");
        figures.push(if kind.name == LAGGING.name { figure } else { figure.target(Target::AtMost(0.05)) });
        figures.push(Figure::new(name("off after a day, worst"), ends.iter().map(|end| end.off.abs()).fold(0.0, f64::max), "Wh"));
        figures.push(Figure::new(name("off after a day, median"), median(ends.iter().map(|end| end.off.abs())), "Wh"));
        figures.push(Figure::new(name("claimed deviation, rms"), rms(|end| end.claimed), "Wh"));
        figures.push(Figure::new(name("register alone, rms"), rms(|end| end.register_off), "Wh"));
    }
    figures
}

fn day(kind: Kind, seed: u64) -> End {
    let gap = Gap(Schedule::once(40_000..40_000 + GAP_S));
    let meter = Meter::new(seed, &HouseholdConfig::typical(seed), kind.profile).with(LostPolls::new(seed, LOST)).with(gap);
    let mut end = End { kind: kind.name, off: f64::NAN, claimed: f64::NAN, register_off: f64::NAN };
    for (second, estimate) in Watch::new(meter, kind.noise).take(DAY_S) {
        let (Some(estimate), Some(sample)) = (estimate, second.reply.sample) else { continue };
        let energy = estimate.energy.anchor_wh as f64 + estimate.energy.remainder_wh;
        end.off = energy - second.truth.energy_wh;
        end.claimed = estimate.energy_variance.sqrt();
        end.register_off = sample.energy_wh as f64 - second.truth.energy_wh;
    }
    end
}
