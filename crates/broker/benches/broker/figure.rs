//! Figures and their targets.

use std::collections::BTreeMap;

use serde_json::json;

use crate::load::Stage;

/// What is to be reached.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// Told, not judged.
    None,
    AtLeast(f64),
    AtMost(f64),
}

/// One number.
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    target: Target,
}

impl Figure {
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str, target: Target) -> Self {
        Self { name: name.into(), value, unit, target }
    }

    /// Whether the target is reached.
    pub fn ok(&self) -> bool {
        match self.target {
            Target::None => true,
            Target::AtLeast(least) => self.value >= least,
            Target::AtMost(most) => self.value <= most,
        }
    }
}

/// A table, or a line of JSON for each.
pub fn print(figures: &[Figure], as_json: bool) {
    if !as_json {
        println!("{:<62} {:>12} {:<7} {:>10}", "figure", "value", "unit", "target");
    }
    for figure in figures {
        let Figure { name, value, unit, target } = figure;
        let number = match target {
            Target::None => None,
            Target::AtLeast(value) | Target::AtMost(value) => Some(*value),
        };
        if as_json {
            let value = (value * 1000.0).round() / 1000.0;
            println!("{}", json!({ "name": name, "value": value, "unit": unit, "target": number, "ok": figure.ok() }));
            continue;
        }
        let sign = if matches!(target, Target::AtLeast(_)) { ">=" } else { "<=" };
        let target =
            number.map_or_else(String::new, |number| format!("{sign} {number:.4}").trim_end_matches('0').trim_end_matches('.').to_owned());
        let verdict = match number {
            None => "",
            Some(_) if figure.ok() => "ok",
            Some(_) => "MISSED",
        };
        println!("{name:<62} {value:>12.2} {unit:<7} {target:>10}  {verdict}");
    }
}

/// One round's measurements.
pub type Values = BTreeMap<String, f64>;

/// Of several rounds each value's median.
pub fn medians(rounds: &[Values]) -> Values {
    let median = |name: &String| {
        let mut values: Vec<f64> = rounds.iter().filter_map(|round| round.get(name)).copied().collect();
        values.sort_by(f64::total_cmp);
        (name.clone(), values[values.len() / 2])
    };
    rounds.first().map_or_else(Values::new, |first| first.keys().map(median).collect())
}

impl Stage {
    /// A value that this stage has.
    pub fn get(&self, name: &str) -> f64 {
        *self.values.get(name).unwrap_or_else(|| panic!("the load's stage {} has no {name}", self.name))
    }
}
