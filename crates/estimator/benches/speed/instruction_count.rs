//! Instructions a step, counted, beside their committed budget.

use std::hint::black_box;

use estimator::Real;
use instructions::Budget;

use crate::meter::{Meter, NOISY, PZEM};
use crate::table::{Bound, Figure};

/// Given to this program by itself, with a precision, a meter and how often: only walk.
pub const WALK: &str = "--walk";
/// Two hours: longer ones give the same count within 1 %.
const STEPS: usize = 7200;

fn walk<F: Real>(meter: &Meter, times: usize) {
    let samples = meter.samples::<F>(STEPS);
    for _ in 0..times {
        let mut estimator = meter.estimator::<F>();
        for sample in &samples {
            black_box(&estimator.step(black_box(F::ONE), black_box(sample)));
        }
    }
}

/// What callgrind watches, given [`WALK`]'s arguments.
pub fn walk_in(precision: &str, meter: &str, times: &str) {
    let meter = [NOISY, PZEM].into_iter().find(|it| it.name == meter).unwrap();
    let times = times.parse().unwrap();
    match precision {
        "f32" => walk::<f32>(&meter, times),
        "f64" => walk::<f64>(&meter, times),
        _ => panic!("there is no precision {precision}"),
    }
}

/// Instructions a step beside their budget.
pub fn figures() -> Vec<Figure> {
    let budget = Budget::read(concat!(env!("CARGO_MANIFEST_DIR"), "/budget.toml")).unwrap();
    let figure = |(precision, meter): (&str, Meter)| {
        let name = format!("instructions {precision}, {}", meter.name);
        let count = instructions::of_a_walk(&[WALK, precision, meter.name]).unwrap() / STEPS as f64;
        Figure::new(&name, count.round(), "count", budget.most(&name, count).unwrap().map(Bound::AtMost))
    };
    [("f32", NOISY), ("f32", PZEM), ("f64", NOISY)].map(figure).into()
}
