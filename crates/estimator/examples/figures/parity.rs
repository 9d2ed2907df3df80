//! The filter against two independent implementations: what `tests/filter/parity.rs` asserts, printed.

use crate::figure::{Figure, Target};
use crate::vectors::Worst;
use crate::vectors::filters::{self, VECTORS};

pub fn figures() -> Vec<Figure> {
    let mut figures = Vec::new();
    for (vector, noise) in VECTORS {
        let mut deviation = |name: &str, worst: &Worst, unit, most| {
            let figure = Figure::new(format!("parity/{vector}/{name}"), worst.deviation(), unit).target(Target::AtMost(most));
            if !figure.is_ok() {
                eprintln!("parity/{vector}/{name}, deviation by column:\n{worst}");
            }
            figures.push(figure);
        };
        let (whole, differing) = filters::whole_filter(vector, noise);
        let (whole_f32, differing_f32) = filters::whole_filter_in_single_precision(vector, noise);
        deviation("plain filter, f64, from filterpy", &filters::plain_filter(vector, &noise), "relative", 1e-9);
        deviation("plain filter, f32, Vs from filterpy", &filters::plain_filter_in_single_precision(vector, &noise), "V", 1e-3);
        deviation("whole filter, f64, from the reference", &whole, "relative", 1e-6);
        deviation("whole filter, f32, from f64 (V, A, kW, Hz)", &whole_f32, "", 1e-3);
        for (name, rows) in [("f64", differing), ("f32", differing_f32)] {
            let name = format!("parity/{vector}/whole filter, {name}, rows whose verdicts differ");
            figures.push(Figure::new(name, rows.len() as f64, "of 4000").target(Target::AtMost(0.0)));
        }
    }
    figures
}
