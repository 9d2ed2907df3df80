//! Verdicts on days on which nothing was wrong.

use crate::clean::{Day, WATCHED};
use crate::figure::{Figure, Target};
use crate::run::{LAGGING, NOISY, PZEM};

/// At most so many samples of sound data may be called bad in a day.
const BAD_A_DAY_MAX: f64 = 0.5;

pub fn figures(street: &[Day]) -> Vec<Figure> {
    [PZEM, NOISY, LAGGING].into_iter().flat_map(|kind| of_kind(street, kind.name)).collect()
}

fn of_kind(street: &[Day], kind: &'static str) -> Vec<Figure> {
    let days: Vec<&Day> = street.iter().filter(|day| day.kind == kind).collect();
    let sum = |of: &dyn Fn(&Day) -> f64| days.iter().map(|day| of(day)).sum::<f64>();
    let count = days.len() as f64;
    let name = |what: &str| format!("sound data/{kind}/{what}");
    let mut figures = vec![
        Figure::new(name("samples called bad"), sum(&|day| day.bad) / count, "a day").target(Target::AtMost(BAD_A_DAY_MAX)),
        Figure::new(name("appliances switched"), sum(&|day| day.switched.0), ""),
        Figure::new(name("appliances called bad data"), sum(&|day| day.bad_at_step), "").target(Target::AtMost(0.0)),
        Figure::new(name("appliances called a step"), 100.0 * sum(&|day| day.switched.1) / sum(&|day| day.switched.0), "%"),
        Figure::new(name("steps where nothing was switched"), sum(&|day| day.false_steps) / count, "a day"),
    ];
    for (number, (verdict, _)) in WATCHED.into_iter().enumerate() {
        figures.push(Figure::new(name(&format!("false alarms, {verdict}")), sum(&|day| day.alarms[number]) / count, "a day"));
    }
    figures
}
