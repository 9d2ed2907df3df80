//! How much better than the sensor the filter is: root mean square errors against the truth as the sensor's gains show it, steps included.
//!
//! The households are those of the reference vectors: a supply that wanders by 0.1 V/√s. How well a voltage can be known depends on that:
//! with white noise of variance R and diffusion q no filter gets below the variance √(q R). So the street, where supplies wander by up to
//! 0.23 V/√s, is printed beside it.

use crate::clean::{Day, QUANTITIES};
use crate::figure::{Figure, Target};
use crate::run::median;

/// Households besides the first.
pub const OTHERS: u64 = 20;

/// `days` are of the vectors' household, the first and `OTHERS`; `street` of many kinds of households.
pub fn figures(days: &[Day], street: &[Day]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for kind in ["noisy", "pzem", "pzem lagging"] {
        let days: Vec<&Day> = days.iter().filter(|day| day.kind == kind).collect();
        let Some((first, others)) = days.split_first() else { continue };
        for (number, quantity) in QUANTITIES.into_iter().enumerate() {
            let (raw, filtered) = first.errors()[number];
            let gains = || others.iter().map(|day| day.errors()[number]).map(|(raw, filtered)| raw / filtered);
            let name = |what| format!("accuracy/{kind}/{quantity}/{what}");
            let target = target(kind, quantity);
            let figure = |what, value| {
                let figure = Figure::new(name(what), value, "times");
                target.map_or(figure.clone(), |target| figure.target(target))
            };
            figures.push(Figure::new(name("raw"), raw, unit(quantity)));
            figures.push(Figure::new(name("filtered"), filtered, unit(quantity)));
            figures.push(figure("better than raw", raw / filtered));
            figures.push(figure("better, worst of 20", gains().fold(f64::INFINITY, f64::min)));
            figures.push(figure("better, median of 20", median(gains())));
        }
        let street = || street.iter().filter(|day| day.kind == kind).map(|day| day.errors()[0]).map(|(raw, filtered)| raw / filtered);
        figures.push(Figure::new(
            format!("accuracy/{kind}/voltage/better, worst of the street"),
            street().fold(f64::INFINITY, f64::min),
            "times",
        ));
        figures.push(Figure::new(format!("accuracy/{kind}/voltage/better, median of the street"), median(street()), "times"));
    }
    figures
}

/// A lagging sensor is off by its windows, which no filter of single samples can mend: it is printed for comparison.
fn target(kind: &str, quantity: &str) -> Option<Target> {
    match (kind, quantity) {
        ("pzem lagging", _) => None,
        ("noisy", "voltage") => Some(Target::AtLeast(2.5)),
        ("noisy", "frequency") => Some(Target::AtLeast(2.0)),
        _ => Some(Target::AtLeast(1.0)),
    }
}

fn unit(quantity: &str) -> &'static str {
    match quantity {
        "voltage" => "V",
        "current" => "A",
        "active power" => "W",
        "non-active power" => "var",
        "frequency" => "Hz",
        _ => "",
    }
}
