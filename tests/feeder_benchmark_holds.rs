//! Promise: on simulated feeders a thief is found and named, and nobody else. The whole benchmark is `./dev figures feeder`.

#![expect(clippy::arithmetic_side_effects, reason = "measures simulations of fixed dimension")]

#[path = "../crates/stream-processor/examples/feeder/bench.rs"]
mod bench;
#[path = "../crates/stream-processor/examples/feeder/methods.rs"]
mod methods;
#[path = "../crates/stream-processor/examples/feeder/rate.rs"]
mod rate;

use anyhow::Context;
use fleet::feeder::{FeederConfig, Theft, TheftKind};
use stream_processor::balance::finding::Test;

use bench::run;
use methods::{METHODS, Method};
use rate::AlarmRate;

#[test]
fn a_thief_is_found_and_named_and_nobody_before() {
    for (seed, stress) in [(11, false), (12, true)] {
        let theft = Theft { kind: TheftKind::Scaled(0.5), house: 13, from_day: 20 };
        let outcome = run(seed, &FeederConfig { days: 32, stress, theft: Some(theft) }).unwrap();
        let told = format!("seed {seed}, stress {stress}: {:?}", outcome.findings);
        assert_eq!((outcome.false_alarms(Test::Balance), outcome.false_alarms(Test::VoltageDrop)), (0, 0), "{told}");
        assert!(outcome.days_to_detect(None).is_some_and(|days| days < 3.0), "{told}");
        assert_eq!(outcome.right_place(), Some(true), "{told}");
        assert!((outcome.honest_days() - 6.0).abs() < 1e-9, "{outcome:?}");
        for finding in &outcome.findings {
            assert!(finding.statistic > finding.threshold || !finding.begins, "{told}");
            assert!(!finding.evidence.is_empty() && finding.delay_ms() > 0, "{told}");
        }
    }
}

#[test]
fn a_hook_on_the_line_is_named_by_its_pole() {
    let theft = Theft { kind: TheftKind::Tap(1000.0), house: 9, from_day: 20 };
    let outcome = run(13, &FeederConfig { days: 32, stress: true, theft: Some(theft) }).unwrap();
    assert_eq!(outcome.right_place(), Some(true), "{:?}", outcome.findings);
}

#[test]
fn an_honest_feeder_is_left_alone() {
    let outcome = run(14, &FeederConfig { days: 32, stress: true, theft: None }).unwrap();
    assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
    assert!(outcome.stolen.abs() < 1e-9 && (outcome.watched_days - 18.0).abs() < 1e-9, "{outcome:?}");
    let (line, loss) = outcome.line_and_loss_wh;
    assert!((0.02..0.04).contains(&(loss / line)) && outcome.two_percent > 0.4, "a fixed limit of 2 % would call it theft: {outcome:?}");
    assert!(outcome.bytes.0 < 4200, "{} bytes a meter while learning", outcome.bytes.0);
}

/// The table of methods in docs/theft.md: with a meter at the pole each is told that is behind one; without, those that take more than a few
/// percent.
fn shown(test: &str) -> anyhow::Result<()> {
    let (method, seed) = METHODS.iter().zip(100..).find(|(it, _)| it.test == test).context("the method is in the table")?;
    let Method { name, kind, by_balance, .. } = *method;
    let said = method.compared();
    assert_eq!(said.map(|it| it.verdict), method.expected(), "{name}: {said:?}");
    let theft = Some(Theft { kind, house: 8, from_day: 19 });
    let outcome = run(seed, &FeederConfig { days: 23, stress: true, theft })?;
    assert_eq!(outcome.days_to_detect(Some(Test::Balance)).is_some(), by_balance, "{name}: {:?}", outcome.findings);
    Ok(())
}

#[test]
fn a_bypass() -> anyhow::Result<()> {
    shown("a_bypass")
}

#[test]
fn a_reversed_register() -> anyhow::Result<()> {
    shown("a_reversed_register")
}

#[test]
fn an_obstructed_register() -> anyhow::Result<()> {
    shown("an_obstructed_register")
}

#[test]
fn remote_slowing() -> anyhow::Result<()> {
    shown("remote_slowing")
}

#[test]
fn a_tampered_neutral() -> anyhow::Result<()> {
    shown("a_tampered_neutral")
}

#[test]
fn a_discharge() -> anyhow::Result<()> {
    shown("a_discharge")
}

#[test]
fn over_reading() -> anyhow::Result<()> {
    shown("over_reading")
}

#[test]
fn under_reading() -> anyhow::Result<()> {
    shown("under_reading")
}

#[test]
fn a_hook() -> anyhow::Result<()> {
    shown("a_hook")
}

#[test]
fn each_method_names_a_test_that_is_there() {
    let here = include_str!("feeder_benchmark_holds.rs");
    for Method { test, .. } in METHODS {
        assert!(here.contains(&format!("fn {test}() -> anyhow::Result<()> {{\n    shown(\"{test}\")")), "{test}");
    }
}

/// No alarm in a time proves no more than three in it, with 95 % confidence; of more the exact limit is higher (tables of Poisson limits).
#[test]
fn a_time_without_alarms_bounds_their_rate() {
    for (alarms, years, most) in [(0, 1.0, 2.996), (1, 1.0, 4.744), (2, 1.0, 6.296), (0, 6.0, 0.4993)] {
        let found = AlarmRate { alarms, years }.most().unwrap();
        assert!((found - most).abs() < 1e-3, "{alarms} in {years}: {found}");
        assert!(AlarmRate { alarms, years }.seen() < found);
    }
}
