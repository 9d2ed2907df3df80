//! A figure beside its target, and how figures are printed.

use serde::Serialize;

/// What a figure ought to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
    /// From the first to the second.
    Within(f64, f64),
}

impl Target {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Within(least, most) => (least..=most).contains(&value),
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {}", short(least)),
            Self::AtMost(most) => format!("<= {}", short(most)),
            Self::Within(least, most) => format!("{} to {}", short(least), short(most)),
        }
    }
}

/// A number that was measured.
#[derive(Clone, Debug)]
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    target: Option<Target>,
}

/// A figure as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    value: f64,
    unit: &'a str,
    target: Option<String>,
    ok: bool,
}

impl Figure {
    /// Of interest, without a target.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, target: None }
    }

    /// The same with a target.
    #[must_use]
    pub fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    /// Whether it meets its target. One that is not a number does not.
    pub fn is_ok(&self) -> bool {
        self.value.is_finite() && self.target.is_none_or(|target| target.is_met_by(self.value))
    }

    /// As a line of JSON. A value that is not a number is `null` there.
    fn json(&self) -> serde_json::Result<String> {
        let Self { name, value, unit, target, .. } = self;
        serde_json::to_string(&Line { name, value: *value, unit, target: target.map(Target::text), ok: self.is_ok() })
    }

    /// As a line of the table.
    fn line(&self) -> String {
        let target = self.target.map_or_else(String::new, Target::text);
        let verdict = match (self.is_ok(), self.target) {
            (false, _) => "MISSED",
            (true, Some(_)) => "ok",
            (true, None) => "",
        };
        let line = format!("{:<58} {:>10} {:<8} {target:>14}  {verdict}", self.name, short(self.value), self.unit);
        line.trim_end().to_owned()
    }
}

/// Prints a table, or a line of JSON for each.
pub fn print(figures: &[Figure], json: bool) -> serde_json::Result<()> {
    if json {
        for figure in figures {
            println!("{}", figure.json()?);
        }
    } else {
        println!("{:<58} {:>10} {:<8} {:>14}", "figure", "value", "", "target");
        figures.iter().for_each(|figure| println!("{}", figure.line()));
    }
    Ok(())
}

/// Four digits; an exponent for what is very small or large.
fn short(value: f64) -> String {
    let size = value.abs();
    if value == value.trunc() && size < 1e7 {
        format!("{value}")
    } else if !(1e-4..1e6).contains(&size) {
        format!("{value:.1e}")
    } else {
        let digits = 3_i32.saturating_sub(size.log10().floor() as i32).clamp(0, 6);
        format!("{value:.*}", usize::try_from(digits).unwrap_or(0))
    }
}
