//! Twelve minutes of a PZEM with everything that can go wrong with it, and what the filter says.

use std::path::Path;

use estimator::Estimate;
use fleet::faults::spike::Spikes;
use fleet::faults::{Checksum, Gap, Register, Replay, Schedule, Spike, Stuck};
use fleet::household::HouseholdConfig;
use fleet::meter::{Meter, Second};
use measure::Flags;
use plotters::element::{Circle, Cross, Rectangle, Text, TriangleMarker};
use plotters::series::LineSeries;
use plotters::style::{Color, IntoFont};

use super::{
    ALARM, Axes, BAND, CHART_WIDTH, Canvas, FILTERED, FONT, Mark, NOTE, RAW, SHIFT, STEP, TRUTH, canvas, chart, finish, key, range,
};
use crate::run::{PZEM, Watch};

const BEGIN_S: u64 = 7200;
const LENGTH_S: u64 = 720;
/// When what happens, in s after the beginning.
const VOLTAGE_SPIKE: u64 = 60;
const POWER_SPIKE: u64 = 120;
const STUCK: (u64, u64) = (200, 260);
const GAP: (u64, u64) = (330, 380);
const REPLAY: (u64, u64) = (480, 600);
const REPLAY_DELAY_S: usize = 2400;

/// Verdicts, their marks, and their names in the key.
const VERDICTS: [(Flags, Mark, &str); 5] = [
    (Flags::STEP, Mark::Triangle(STEP), "load switched"),
    (Flags::VOLTAGE_SHIFT, Mark::Triangle(SHIFT), "supply shifted"),
    (Flags::STUCK, Mark::Triangle(NOTE), "stuck"),
    (Flags::REPLAY, Mark::Triangle(FILTERED), "replay"),
    (BAD, Mark::Cross(ALARM), "bad data, left out"),
];
const BAD: Flags = Flags::BAD_VOLTAGE.union(Flags::BAD_CURRENT).union(Flags::BAD_POWER).union(Flags::BAD_FREQUENCY).union(Flags::REJECTED);

/// A second: number, what the meter said, what the filter makes of it.
type Shown = (f64, Second, Option<Estimate<f64>>);

pub fn draw(path: &Path, seed: u64) -> anyhow::Result<()> {
    let shown: Vec<Shown> = Watch::new(meter(seed), PZEM.noise)
        .skip(usize::try_from(BEGIN_S)?)
        .take(usize::try_from(LENGTH_S)?)
        .map(|(second, estimate)| (second.number.saturating_sub(BEGIN_S) as f64, second, estimate))
        .collect();
    let canvas = canvas(path, 620)?;
    let (charts, beside) = canvas.split_horizontally(CHART_WIDTH);
    let (upper, lower) = charts.split_vertically(310);
    panel(&upper, "The voltage that a PZEM tells, and the verdicts", "voltage in V", &shown, |second| {
        (second.truth.voltage, second.reply.sample.map(|sample| sample.voltage))
    })?;
    panel(&lower, "The active power of the same time", "active power in W", &shown, |second| {
        (second.truth.active_power, second.reply.sample.map(|sample| sample.active_power))
    })?;
    let mut entries = vec![(Mark::Line(RAW), "truth"), (Mark::Dot(TRUTH), "reply")];
    entries.extend(VERDICTS.map(|(_, mark, name)| (mark, name)));
    key(&beside, &entries)?;
    finish(&canvas, path)
}

fn meter(seed: u64) -> Meter {
    let at = |(begin, end): (u64, u64)| Schedule::once(BEGIN_S + begin..BEGIN_S + end);
    let spike = |register, relative| Spike { register, relative, checksum: Checksum::Kept };
    Meter::new(seed, &HouseholdConfig::default(), PZEM.profile)
        .with(Spikes::new(seed, spike(Register::Voltage, 0.03), at((VOLTAGE_SPIKE, VOLTAGE_SPIKE + 1))))
        .with(Spikes::new(seed, spike(Register::ActivePower, 0.8), at((POWER_SPIKE, POWER_SPIKE + 1))))
        .with(Stuck::new(at(STUCK)))
        .with(Replay::new(at(REPLAY), REPLAY_DELAY_S))
        .with(Gap(at(GAP)))
}

/// `of`: truth, and raw where there is a reply.
fn panel(canvas: &Canvas<'_>, title: &str, unit: &str, shown: &[Shown], of: impl Fn(&Second) -> (f64, Option<f64>)) -> anyhow::Result<()> {
    let rows: Vec<(f64, (f64, Option<f64>), Flags)> =
        shown.iter().map(|it| (it.0, of(&it.1), it.2.map_or(Flags::empty(), |estimate| estimate.flags))).collect();
    let (low, high) = range(rows.iter().flat_map(|(_, (truth, raw), _)| [*truth, raw.unwrap_or(*truth)]));
    let top = high + 0.12 * (high - low);
    let axes = Axes { title, x: ("time in s", 0.0, LENGTH_S as f64), y: (unit, low, top) };
    let mut chart = chart(canvas, &axes)?;
    for ((begin, end), what) in [(STUCK, "stuck"), (GAP, "no answer"), (REPLAY, "replayed")] {
        chart.draw_series([Rectangle::new([(begin as f64, low), (end as f64, top)], RAW.mix(BAND).filled())])?;
        let style = (FONT, 13).into_font().color(&TRUTH);
        chart.draw_series([Text::new(what, (begin as f64 + 3.0, top - 0.02 * (top - low)), style)])?;
    }
    chart.draw_series(LineSeries::new(rows.iter().map(|(x, (truth, _), _)| (*x, *truth)), RAW.stroke_width(1)))?;
    chart.draw_series(rows.iter().filter_map(|(x, (_, raw), _)| Some(Circle::new((*x, (*raw)?), 1, TRUTH.filled()))))?;
    for (flags, mark, _) in VERDICTS {
        let places = rows.iter().filter(|it| it.2.intersects(flags)).filter_map(|(x, (_, raw), _)| Some((*x, (*raw)?)));
        match mark {
            Mark::Cross(colour) => {
                chart.draw_series(places.map(|at| Cross::new(at, 6, colour.stroke_width(2))))?;
            }
            Mark::Triangle(colour) | Mark::Line(colour) | Mark::Dot(colour) | Mark::Band(colour) => {
                chart.draw_series(places.map(|at| TriangleMarker::new(at, 5, colour.filled())))?;
            }
        }
    }
    Ok(())
}
