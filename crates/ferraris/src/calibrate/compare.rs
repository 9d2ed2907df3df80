//! What the module read, beside what the reference shows. Pure.

use comfy_table::Table;
use edge_agent::calibration::millionths;
use edge_core::calibration::GAINS;

use crate::sheet;

/// Least current to compare: below it the last digit of a module is more than 0.2 % of it.
const CURRENT_MIN: f64 = 0.5;
/// Largest spread of the readings, relative to their mean: a load that moves more is not steady.
const SPREAD_MAX: f64 = 0.02;

/// Sums of what was read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Means {
    count: u32,
    voltage: Series,
    current: Series,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Series {
    sum: f64,
    range: Option<(f64, f64)>,
}

impl Series {
    fn add(&mut self, value: f64) {
        let (least, most) = self.range.unwrap_or((value, value));
        self.sum += value;
        self.range = Some((least.min(value), most.max(value)));
    }

    fn mean(&self, count: u32) -> f64 {
        if count == 0 { 0.0 } else { self.sum / f64::from(count) }
    }

    fn is_steady(&self, count: u32) -> bool {
        self.range.is_some_and(|(least, most)| most - least <= SPREAD_MAX * self.mean(count))
    }
}

impl Means {
    /// One reading, in V and A.
    pub fn add(&mut self, voltage: f64, current: f64) {
        self.count = self.count.saturating_add(1);
        self.voltage.add(voltage);
        self.current.add(current);
    }
}

/// Reference over reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Comparison {
    pub voltage_gain: f64,
    /// None where there was no load.
    pub current_gain: Option<f64>,
    rows: [Option<(f64, f64)>; 2],
}

impl Comparison {
    /// Compares; says what is wrong where nothing can be made of it.
    pub fn new(means: &Means, voltage: f64, current: f64) -> Result<Self, String> {
        let (read_voltage, read_current) = (means.voltage.mean(means.count), means.current.mean(means.count));
        let voltage_gain = gain("voltage", "V", voltage, read_voltage, means.voltage.is_steady(means.count))?;
        let loaded = current > 0.0;
        if loaded && (current < CURRENT_MIN || read_current < CURRENT_MIN) {
            return Err(format!(
                "{current} A on the instrument and {read_current:.3} A on the module are too little to compare: switch on a load of an ampere or more, or say 0"
            ));
        }
        let current_gain = loaded.then(|| gain("current", "A", current, read_current, means.current.is_steady(means.count))).transpose()?;
        let rows = [Some((read_voltage, voltage)), loaded.then_some((read_current, current))];
        Ok(Self { voltage_gain, current_gain, rows })
    }

    /// Before and after.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(sheet::STYLE).set_header(["", "module", "instrument", "error before", "gain", "error after"]);
        let gains = [Some(self.voltage_gain), self.current_gain];
        for ((name, row), gain) in ["voltage, V", "current, A"].into_iter().zip(self.rows).zip(gains) {
            let (Some((read, shown)), Some(gain)) = (row, gain) else { continue };
            // As the agent applies it.
            let applied = f64::from(millionths(gain)) / 1e6;
            let error = |value: f64| format!("{:+.2} %", (value / shown - 1.0) * 100.0);
            table.add_row([
                name.to_owned(),
                format!("{read:.3}"),
                format!("{shown:.3}"),
                error(read),
                format!("{applied:.6}"),
                error(read * applied),
            ]);
        }
        let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }
}

fn gain(what: &str, unit: &str, reference: f64, read: f64, steady: bool) -> Result<f64, String> {
    if !steady {
        return Err(format!("the {what} moved by more than {} % while it was read: use a steady load, and repeat it", SPREAD_MAX * 100.0));
    }
    let gain = reference / read;
    if GAINS.contains(&millionths(gain)) {
        return Ok(gain);
    }
    Err(format!(
        "the module's {what} of {read:.3} {unit} and the instrument's of {reference:.3} {unit} are too far apart for a calibration: is the instrument on the same terminals, \
         and the right transformer on the right conductor?"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(readings: &[(f64, f64)]) -> Means {
        let mut means = Means::default();
        readings.iter().for_each(|(voltage, current)| means.add(*voltage, *current));
        means
    }

    #[test]
    fn gains_are_reference_over_mean_and_take_the_error_away() {
        let comparison = Comparison::new(&means(&[(232.0, 4.30), (232.4, 4.34)]), 230.1, 4.41).unwrap();
        assert_eq!((comparison.voltage_gain, comparison.current_gain), (230.1 / 232.2, Some(4.41 / 4.32)));
        let table = comparison.table();
        assert!(table.contains("+0.91 %") && table.contains("-2.04 %") && table.matches("0.00 %").count() == 2, "{table}");
    }

    #[test]
    fn without_a_load_the_current_is_left_alone() {
        let comparison = Comparison::new(&means(&[(232.0, 0.0)]), 230.0, 0.0).unwrap();
        assert_eq!(comparison.current_gain, None);
        assert!(!comparison.table().contains("current"));
    }

    #[test]
    fn nothing_is_made_of_nonsense() {
        let sound = means(&[(230.0, 4.0)]);
        for (means, voltage, current, expected) in [
            (&means(&[(230.0, 4.0), (240.0, 4.0)]), 230.0, 4.0, "voltage moved"),
            (&means(&[(230.0, 4.0), (230.0, 5.0)]), 230.0, 4.0, "current moved"),
            (&sound, 115.0, 4.0, "too far apart"),
            (&sound, 230.0, 40.0, "too far apart"),
            (&sound, 230.0, 0.2, "too little"),
            (&means(&[]), 230.0, 4.0, "voltage moved"),
            (&means(&[(0.0, 0.0)]), 230.0, 0.0, "too far apart"),
        ] {
            let text = Comparison::new(means, voltage, current).unwrap_err();
            assert!(text.contains(expected), "{text}");
        }
    }
}
