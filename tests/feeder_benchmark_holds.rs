//! Promise: on simulated feeders a thief is found and named, and nobody else. The whole benchmark is `./dev figures feeder`.

#![expect(clippy::arithmetic_side_effects, reason = "measures simulations of fixed dimension")]

#[path = "../crates/stream-processor/examples/feeder/bench.rs"]
mod bench;

use fleet::feeder::{FeederConfig, Theft, TheftKind};
use stream_processor::balance::finding::Test;
use stream_processor::balance::pair::{Compared, Pair, Verdict};

use bench::run;

#[test]
fn a_thief_is_found_and_named_and_nobody_before() {
    for (seed, stress) in [(11, false), (12, true)] {
        let theft = Theft { kind: TheftKind::Scaled(0.5), house: 13, from_day: 20 };
        let outcome = run(seed, &FeederConfig { days: 32, stress, theft: Some(theft) }).unwrap();
        let told = format!("seed {seed}, stress {stress}: {:?}", outcome.findings);
        assert_eq!((outcome.false_alarms(Test::Balance), outcome.false_alarms(Test::VoltageDrop)), (0, 0), "{told}");
        assert!(outcome.days_to_detect(None).is_some_and(|days| days < 3.0), "{told}");
        assert_eq!(outcome.right_place(), Some(true), "{told}");
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

/// How meters are cheated, or cheat: the share of the energy that a day's register shows, and whether the feeder's balance tells.
const METHODS: [(&str, TheftKind, f64, bool); 8] = [
    ("bypass of half the current", TheftKind::Scaled(0.5), 0.5, true),
    ("register reversed", TheftKind::RegisterReversed, -1.0, true),
    ("register obstructed", TheftKind::Scaled(0.0), 0.0, true),
    ("slowed by remote control, half the hours", TheftKind::SlowedByRemote(0.4), 0.7, true),
    ("neutral tampered, 80 % of the voltage seen", TheftKind::NeutralLifted(0.8), 0.8, true),
    ("discharge stopped the electronics", TheftKind::Frozen, 0.0, true),
    ("over-reading by 2.5 %", TheftKind::Scaled(1.025), 1.025, false),
    ("under-reading by 3.5 %", TheftKind::Scaled(0.965), 0.965, false),
];

/// The table of methods in docs/theft.md: with a meter at the pole each is told; without one, those that take more than a few percent.
#[test]
fn each_method_is_caught_or_said_not_to_be() {
    let pair = Pair { line_class: 1.0, house_class: 1.0, loop_ohm: 0.3, resolution_wh: 1.0 };
    let line = Compared { line_wh: 24_000.0, house_wh: 0.0, current: 1000.0 / 230.0, voltage: 230.0 };
    let loss = 0.3 * line.current / line.voltage;
    for ((name, kind, share, by_balance), seed) in METHODS.into_iter().zip(100..) {
        let said = pair.compare(&Compared { house_wh: line.line_wh * (1.0 - loss) * share, ..line });
        let expected = if share > 1.0 { Verdict::OverReading } else { Verdict::Theft };
        assert_eq!(said.verdict, expected, "{name}: {said}");
        let theft = Some(Theft { kind, house: 8, from_day: 19 });
        let outcome = run(seed, &FeederConfig { days: 23, stress: true, theft }).unwrap();
        assert_eq!(outcome.days_to_detect(Some(Test::Balance)).is_some(), by_balance, "{name}: {:?}", outcome.findings);
    }
}
