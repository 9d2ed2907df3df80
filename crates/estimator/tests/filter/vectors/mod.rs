//! The reference vectors: reading them, running the filters on them, and keeping the worst deviation.

pub mod filters;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Mutex;

use estimator::Sample;

/// One second of a vector, by column name.
pub struct Row(HashMap<String, f64>);

impl Row {
    /// The value of a column.
    pub fn column(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("the vector has no column {name}"))
    }

    /// V, I, P, f.
    pub fn measured(&self) -> [f64; 4] {
        ["zV", "zI", "zP", "zf"].map(|name| self.column(name))
    }

    /// What the meter gave.
    pub fn sample(&self) -> Sample<f64> {
        let [voltage, current, active_power, frequency] = self.measured();
        Sample { voltage, current, active_power, frequency, power_factor: self.column("zPF"), energy_wh: self.column("zEreg") as u64 }
    }
}

impl Row {
    /// What the meter gave, in single precision.
    pub fn sample_f32(&self) -> Sample<f32> {
        let sample = self.sample();
        Sample {
            voltage: sample.voltage as f32,
            current: sample.current as f32,
            active_power: sample.active_power as f32,
            frequency: sample.frequency as f32,
            power_factor: sample.power_factor as f32,
            energy_wh: sample.energy_wh,
        }
    }
}

/// Every row of the vector `name`, which is read once.
pub fn rows(name: &str) -> &'static [Row] {
    static READ: Mutex<BTreeMap<String, &[Row]>> = Mutex::new(BTreeMap::new());
    READ.lock().expect("no vector is broken").entry(name.to_owned()).or_insert_with(|| read(name).leak())
}

fn read(name: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filter/vectors").join(format!("{name}.csv.gz"));
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows: Vec<Row> = csv::Reader::from_reader(flate2::read::GzDecoder::new(file))
        .into_deserialize()
        .map(|row| Row(row.unwrap_or_else(|error| panic!("{}: {error}", path.display()))))
        .collect();
    assert_eq!(rows.len(), 4000, "{} is not complete", path.display());
    rows
}

/// The worst deviation of each column.
#[derive(Default)]
pub struct Worst(HashMap<String, (f64, usize, f64, f64)>);

impl Worst {
    /// Compares `ours` with `theirs`, relative to the larger of `theirs` and `floor` (for values that may be 0).
    pub fn compare(&mut self, row: usize, column: &str, ours: f64, theirs: f64, floor: f64) {
        self.compare_absolute(row, column, ours, theirs, theirs.abs().max(floor));
    }

    /// Compares `ours` with `theirs`, in `unit`.
    pub fn compare_absolute(&mut self, row: usize, column: &str, ours: f64, theirs: f64, unit: f64) {
        let deviation = (ours - theirs).abs() / unit;
        let worst = self.0.entry(column.to_owned()).or_insert((0.0, row, ours, theirs));
        if deviation.is_nan() || deviation > worst.0 {
            *worst = (deviation, row, ours, theirs);
        }
    }

    /// Its value over all columns; NaN if one is.
    pub fn deviation(&self) -> f64 {
        self.0.values().map(|worst| worst.0).fold(0.0, |a, b| if b.is_nan() || b > a { b } else { a })
    }
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut columns: Vec<_> = self.0.iter().collect();
        columns.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
        columns.iter().try_for_each(|(column, (deviation, row, ours, theirs))| {
            writeln!(f, "  {column}: {deviation:.1e} in row {row} (ours {ours:.12e}, theirs {theirs:.12e})")
        })
    }
}
