//! On simulated feeders a thief is found and named, and nobody else. The whole benchmark is `./dev figures feeder`.

#![expect(clippy::arithmetic_side_effects, reason = "measures simulations of fixed dimension")]

#[path = "../examples/feeder/bench.rs"]
mod bench;

use fleet::feeder::{FeederConfig, Theft, TheftKind};
use stream_processor::balance::finding::Test;

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
