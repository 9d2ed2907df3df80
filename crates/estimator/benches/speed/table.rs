//! Figures beside their targets.

use std::process::ExitCode;

use serde::Serialize;

/// What a figure must not pass.
#[derive(Clone, Copy)]
pub enum Bound {
    /// Less is better.
    AtMost(f64),
    /// More is better.
    AtLeast(f64),
}

/// A line of the result.
#[derive(Serialize)]
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    target: Option<f64>,
    ok: bool,
    #[serde(skip)]
    target_text: String,
}

impl Figure {
    /// `value` to two digits.
    pub fn new(name: &str, value: f64, unit: &'static str, bound: Option<Bound>) -> Self {
        let (target, ok, target_text) = match bound {
            None => (None, true, String::new()),
            Some(Bound::AtMost(most)) => (Some(most), value <= most, format!("<= {most}")),
            Some(Bound::AtLeast(least)) => (Some(least), value >= least, format!(">= {least}")),
        };
        Self { name: name.to_owned(), value: (value * 100.0).round() / 100.0, unit, target, ok, target_text }
    }

    fn verdict(&self) -> &'static str {
        match (self.target, self.ok) {
            (None, _) => "",
            (Some(_), true) => "ok",
            (Some(_), false) => "MISSED",
        }
    }
}

/// As a table or as JSON, a line each. A failure if a target was missed.
pub fn print(figures: &[Figure], json: bool) -> ExitCode {
    if json {
        figures.iter().for_each(|figure| println!("{}", serde_json::to_string(figure).unwrap()));
    } else {
        println!("{:<48} {:>10} {:<6} {:>10}", "figure", "value", "unit", "target");
        for figure in figures {
            let Figure { name, value, unit, target_text, .. } = figure;
            println!("{name:<48} {value:>10.2} {unit:<6} {target_text:>10}  {}", figure.verdict());
        }
    }
    if figures.iter().all(|figure| figure.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
