#![expect(clippy::arithmetic_side_effects, reason = "test code: what is beyond its range fails the test")]

use proptest::prelude::*;

use super::*;

const RATE: Rate = Rate { messages_per_s: 10, messages_burst: 20, bytes_per_s: 1000, bytes_burst: 5000 };

fn allowance() -> Allowance {
    let limits = Limits { meter: RATE, over_rate_s: 30, ..Limits::default() };
    *Allowances::new(&limits).of(Role::Meter)
}

fn millis(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[test]
fn a_burst_is_free_and_then_the_rate_counts() {
    let now = Instant::now();
    let mut standing = Standing::new(now);
    assert_eq!(standing.charge(&allowance(), 20, 0, now), Verdict::Go);
    assert_eq!(standing.charge(&allowance(), 1, 0, now), Verdict::Wait(now + millis(100), Measure::Messages));
    assert_eq!(standing.charge(&allowance(), 1, 5000, now + millis(200)), Verdict::Go);
    let now = now + millis(300);
    assert_eq!(standing.charge(&allowance(), 1, 1100, now), Verdict::Wait(now + millis(1000), Measure::Bytes));
}

#[test]
fn who_stays_over_is_cut_and_who_pauses_is_not() {
    let start = Instant::now();
    let (mut greedy, mut draining) = (Standing::new(start), Standing::new(start));
    let mut cuts = Vec::new();
    for second in 0..100 {
        let now = start + Duration::from_secs(second);
        if matches!(greedy.charge(&allowance(), 30, 0, now), Verdict::Cut(Measure::Messages)) {
            cuts.push(second);
        }
        // Twice the rate for ten seconds, then nothing for twenty.
        let messages = if second % 30 < 10 { 20 } else { 0 };
        assert!(!matches!(draining.charge(&allowance(), messages, 0, now), Verdict::Cut(_)), "cut after {second} s");
    }
    assert_eq!(cuts, [31, 63, 95], "patience begins anew after a cut");
    // An old sin is forgotten, however much comes at once after a pause.
    let now = start + Duration::from_secs(5000);
    assert!(matches!(draining.charge(&allowance(), 100, 0, now), Verdict::Wait(..)));
    assert!(matches!(draining.charge(&allowance(), 100, 0, now + Duration::from_secs(5000)), Verdict::Wait(..)));
}

#[test]
fn four_takeovers_in_a_minute_are_news_once() {
    let (limits, start) = (Allowances::new(&Limits::default()), Instant::now());
    let mut standing = Standing::new(start);
    for number in 0..3 {
        assert!(!standing.is_contested(&limits, start));
        assert_eq!(standing.take_over(&limits, start), Takeover::Usual, "{number}");
    }
    assert!(standing.is_contested(&limits, start + Duration::from_secs(19)));
    assert_eq!(standing.take_over(&limits, start + Duration::from_secs(1)), Takeover::Contested { news: true });
    assert_eq!(standing.take_over(&limits, start + Duration::from_secs(2)), Takeover::Contested { news: false });
    assert!(!standing.is_forgotten(start + Duration::from_secs(59)));
    assert!(standing.is_forgotten(start + Duration::from_secs(60)));
    assert_eq!(standing.take_over(&limits, start + Duration::from_secs(60)), Takeover::Usual);
}

proptest! {
    /// Whoever waits when told to sends at most burst + rate × time, and is never told to wait longer than what he overdrew takes.
    #[test]
    fn nobody_gets_more_than_the_rate(
        per_s in 1_u64..5000,
        burst in 1_u64..5000,
        steps in prop::collection::vec((0_u64..2000, 1_u64..300), 1..200),
    ) {
        let pace = Pace::per_second(per_s, burst);
        let start = Instant::now();
        let (mut now, mut bucket, mut sent) = (start, Bucket::full(start), 0_u64);
        for (pause_ms, units) in steps {
            now += millis(pause_ms);
            // Not read from while overdrawn: then only `units` of one read are ever beyond the bound.
            let allowed = u128::from(burst) + (now - start).as_nanos() * u128::from(per_s) / 1_000_000_000;
            prop_assert!(u128::from(sent) <= allowed + 1, "{sent} sent, {allowed} allowed");
            let wait = bucket.take(&pace, units, now);
            prop_assert!(wait <= pace.refill(units) + Duration::from_nanos(1));
            sent += units;
            now += wait;
        }
    }

    /// Whoever stays within burst and rate is never told to wait.
    #[test]
    fn nobody_honest_waits(per_s in 1_u64..5000, burst in 1_u64..500, times in prop::collection::vec(1_u64..10, 1..300)) {
        let pace = Pace::per_second(per_s, burst);
        let mut now = Instant::now();
        let mut bucket = Bucket::full(now);
        prop_assert_eq!(bucket.take(&pace, burst, now), Duration::ZERO);
        for units in times.into_iter().map(|units| units.min(burst)) {
            now += pace.refill(units);
            prop_assert_eq!(bucket.take(&pace, units, now), Duration::ZERO);
        }
    }

    /// No number makes it panic or forget what was taken.
    #[test]
    fn any_numbers_are_counted(per_s in 1_u64..10_000_000_000, burst in 1_u64..10_000_000_000, takes in prop::collection::vec(any::<u64>(), 1..20)) {
        let pace = Pace::per_second(per_s, burst);
        let now = Instant::now();
        let mut bucket = Bucket::full(now);
        let mut last = Duration::ZERO;
        for units in takes {
            let wait = bucket.take(&pace, units, now);
            prop_assert!(wait >= last);
            last = wait;
        }
    }
}
