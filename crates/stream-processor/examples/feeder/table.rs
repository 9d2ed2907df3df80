//! Which detector catches which method, on three feeders each, by stress.

use std::fmt::Write;

use fleet::feeder::{FeederConfig, Theft};
use stream_processor::balance::finding::Test;

use crate::bench::{self, Outcome};
use crate::crew;
use crate::figure::{Figure, Target};
use crate::methods::{METHODS, Method};

const FEEDERS: u64 = 3;

/// The table in Markdown, and the same as figures.
pub fn all(seed: u64) -> anyhow::Result<(String, Vec<Figure>)> {
    let outcomes = crew::run("methods", FEEDERS * METHODS.len() as u64, |it| run(seed, it / FEEDERS, it % FEEDERS))?;
    let mut table = String::from(
        "| method | feeder balance: found, days | voltage drop: found, days, right place | pair: indicator, limit, verdict | shown by |\n|---|---|---|---|---|\n",
    );
    let mut figures = Vec::new();
    for (method, outcomes) in METHODS.iter().zip(outcomes.chunks(FEEDERS as usize)) {
        add(method, outcomes, &mut table, &mut figures)?;
    }
    Ok((table, figures))
}

fn run(seed: u64, method: u64, number: u64) -> anyhow::Result<Outcome> {
    let kind = METHODS.get(method as usize).map(|it| it.kind).ok_or_else(|| anyhow::anyhow!("there is no method {method}"))?;
    let theft = Theft { kind, house: (3 + 5 * number as usize) % 20, from_day: 21 + number as usize };
    let seed = seed.wrapping_mul(1_000_000).wrapping_add((100 + method) * 1000 + number);
    bench::run(seed, &FeederConfig { stress: true, theft: Some(theft), ..FeederConfig::default() })
}

fn add(method: &Method, outcomes: &[Outcome], table: &mut String, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let found = |test| outcomes.iter().filter_map(|it| it.days_to_detect(Some(test))).collect::<Vec<f64>>();
    let told = |days: &[f64]| match days.len() {
        0 => "not found".to_owned(),
        found => format!("{found} of {FEEDERS}, {:.1}", crate::median(days.to_vec())),
    };
    let right = outcomes.iter().filter(|it| it.right_place() == Some(true)).count();
    let (balance, drop) = (found(Test::Balance), found(Test::VoltageDrop));
    let pair = match method.compared() {
        Some(said) => format!("{:.2} %, {:.2} %, {:?}", said.indicator, said.limit(), said.verdict),
        None => "can't: it is before both meters".to_owned(),
    };
    let Method { name, test, by_balance, .. } = method;
    writeln!(table, "| {name} | {} | {}, {right} | {pair} | `{test}` |", told(&balance), told(&drop))?;
    let share = |count: usize| count as f64 / outcomes.len() as f64;
    let figure = |what: &str, value, unit| Figure::new(format!("method {name} ({test}): {what}"), value, unit);
    let all = |it: Figure, expected: bool| if expected { it.target(Target::AtLeast(1.0)) } else { it };
    figures.push(all(figure("found by the balance", share(balance.len()), ""), *by_balance));
    figures.push(figure("found by the voltage drop", share(drop.len()), ""));
    figures.push(figure("right place", share(right), ""));
    if let Some(said) = method.compared() {
        figures.push(figure("indicator of the pair", said.indicator, "%"));
        figures.push(figure("limit of the pair", said.limit(), "%"));
        let told = method.expected() == Some(said.verdict);
        figures.push(all(figure("told by the pair", f64::from(u8::from(told)), ""), true));
    }
    Ok(())
}
