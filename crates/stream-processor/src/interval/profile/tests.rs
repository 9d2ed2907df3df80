use proptest::prelude::*;

use super::super::calendar::Calendar;
use super::super::rules::Settings;
use super::*;

/// 2026-11-30 00:00 UTC, a Monday.
const MONDAY: i64 = 1_795_996_800_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn rules() -> Rules {
    Rules::new(Settings::default(), Calendar::default()).unwrap()
}

fn days() -> Days {
    Days::new(Calendar::default(), UnixMillis(MONDAY))
}

/// A profile of that many days from Monday on, whose hours bring what `energy` says of day and hour.
fn profile(count: i64, energy: impl Fn(i64, i64) -> [i64; 2]) -> Profile {
    let (mut profile, mut days) = (Profile::default(), days());
    for hour in 0..count * 24 {
        let start = UnixMillis(MONDAY + hour * HOUR_MS);
        profile.hour(days.day(start), start, energy(hour / 24, hour % 24));
    }
    profile
}

/// How far the registers are in a gap from the start of that day, `hours` later.
fn advance(profile: &Profile, day: i64, length: i64, advance: [i64; 2], hours: i64) -> Option<[i64; 2]> {
    let from = UnixMillis(MONDAY + day * DAY_MS);
    let curve = profile.curve(from, from.saturating_add(length * HOUR_MS), advance, &mut days(), &rules())?;
    Some(curve.at(from.saturating_add(hours * HOUR_MS)))
}

#[test]
fn a_working_day_is_like_the_three_working_days_before() {
    // All of a working day's energy comes from 6 to 8, of the others' from 12 to 14; and Friday was of another kind.
    let profile = profile(7, |day, hour| match (day, hour) {
        (4, _) => [800, 0],
        (5 | 6, 12 | 13) | (0..=3, 6 | 7) => [6_400, 0],
        _ => [0, 0],
    });
    // The next Monday asks for days that ended by Sunday 00:00: Friday, Thursday and Wednesday.
    let at = |hours| advance(&profile, 7, 24, [100_000, 0], hours).unwrap()[0];
    let of_all = 2 * 2 * 6_400 + 24 * 800;
    for (hours, energy) in [(6, 6 * 800), (8, 8 * 800 + 25_600), (24, of_all)] {
        let expected = 100_000 * energy / of_all;
        assert!((at(hours) - expected).abs() <= 1, "{hours}: {} and {expected}", at(hours));
    }
    assert_eq!(at(24), 100_000);
    // The Saturday after that has its own.
    let at = |hours| advance(&profile, 12, 24, [100_000, 0], hours).unwrap()[0];
    assert_eq!((at(12), at(13), at(14), at(24)), (0, 50_000, 100_000, 100_000));
}

#[test]
fn export_has_a_shape_of_its_own() {
    let profile = profile(4, |_, hour| [if hour < 12 { 1_000 } else { 0 }, if hour < 12 { 0 } else { 1_000 }]);
    let at = |hours| advance(&profile, 5, 24, [2_000, 2_000], hours);
    assert_eq!((at(12), at(18)), (None, None), "a Saturday, and none is known");
    let at = |hours| advance(&profile, 7, 24, [2_000, 2_000], hours).unwrap();
    assert_eq!((at(12), at(18), at(24)), ([2_000, 0], [2_000, 1_000], [2_000, 2_000]));
}

#[test]
fn nothing_is_said_where_like_days_say_nothing() {
    let still = profile(4, |_, _| [0, 0]);
    assert_eq!(advance(&still, 7, 24, [5, 0], 12), None, "it moved, and never does");
    assert_eq!(advance(&still, 7, 24, [0, 0], 12), Some([0, 0]));
    let mut halved = profile(4, |_, _| [100, 0]);
    halved.shapes.iter_mut().for_each(|it| it.slots[5] = MISSING);
    assert_eq!(advance(&halved, 7, 24, [5, 0], 12), None, "nobody knows 10 to 12 o'clock");
    assert!(advance(&halved, 7, 10, [5, 0], 10).is_some(), "and until then nobody asks");
    assert_eq!(advance(&profile(4, |_, _| [100, 0]), 60, 24, [5, 0], 12), None, "of another season");
}

#[test]
fn usual_is_half_to_one_and_a_half_of_three_like_days() {
    let usual = |profile: &Profile, day| profile.usual(UnixMillis(MONDAY + day * DAY_MS), &mut days(), &rules());
    // 24 kWh a day, of which the codes know a sixteenth too much or too little.
    let week = profile(7, |_, _| [100_000, 0]);
    let range = usual(&week, 7).unwrap();
    for (kwh, is_usual) in [(10, false), (14, true), (24, true), (33, true), (39, false)] {
        assert_eq!(range.contains(&(kwh * 100_000)), is_usual, "{kwh} kWh of {range:?}");
    }
    assert_eq!(usual(&week, 5), None, "no Saturday is known");
    assert_eq!(usual(&week, 3), None, "two days have ended a horizon before");
    assert!(usual(&week, 4).is_some());
    let mut holed = week;
    holed.shapes[2].slots[5] = MISSING;
    assert_eq!(usual(&holed, 4), None);
}

#[test]
fn days_that_may_change_yet_are_not_asked() {
    // A gap from Wednesday 00:00 on asks for the days that ended by Tuesday 00:00.
    let profile = profile(2, |day, hour| [if (hour < 12) == (day == 0) { 1_000 } else { 0 }, 0]);
    assert_eq!(advance(&profile, 2, 24, [1_000, 0], 12), Some([1_000, 0]));
}

#[test]
fn what_was_kept_leads_back() {
    let mut profile = profile(9, |day, hour| [day * 100 + hour, hour]);
    assert_eq!(profile.keep(), None, "no day is final");
    let now = UnixMillis(MONDAY + 9 * DAY_MS);
    let seal = Seal::at(now, now.saturating_add(-DAY_MS), &mut days(), &rules());
    assert!(profile.seal(seal) && !profile.seal(seal));
    let kept = profile.keep().unwrap();
    assert!(kept.shapes.len() + 2 == profile.shapes.len(), "the ninth day, import and export, is not final");
    let mut again = Profile::load(kept.clone()).unwrap();
    assert_eq!(again.keep(), Some(kept.clone()));
    let last = UnixMillis(MONDAY + 7 * DAY_MS);
    for hour in 0..4 {
        again.hour(days().day(last), last.saturating_add(hour * HOUR_MS), [9_999, 0]);
    }
    assert_eq!(again.keep(), Some(kept.clone()), "what is final does not change");
    for nonsense in [
        Kept { sealed: 0, ..kept.clone() },
        Kept { shapes: kept.shapes.iter().rev().cloned().collect(), ..kept.clone() },
        Kept { shapes: vec![Shape { register: 2, ..kept.shapes[0].clone() }], ..kept },
    ] {
        assert!(Profile::load(nonsense).is_none());
    }
}

proptest! {
    #[test]
    fn a_code_loses_less_than_an_eighth_and_keeps_the_order(energy_wh in 0..1_u64 << 33, other in 0..1_u64 << 33) {
        let back = energy(code(energy_wh));
        prop_assert!(back <= energy_wh && energy_wh - back <= back / 8, "{energy_wh}: {back}");
        prop_assert_eq!(code(back), code(energy_wh));
        prop_assert!(energy_wh > other || code(energy_wh) <= code(other));
    }

    /// The sum is the difference of the registers, and no part of it is negative, whatever the days were.
    #[test]
    fn what_is_estimated_adds_up_to_the_advance(
        hours in prop::collection::vec((0..5_000_i64, 0..50_i64), 24 * 9),
        advance in (0..100_000_000_i64, 0..1_000_000_i64),
        (from, length) in (0..DAY_MS, 1..DAY_MS),
        mut cuts in prop::collection::vec(0.0..1.0_f64, 0..20),
    ) {
        let profile = profile(9, |day, hour| hours.get((day * 24 + hour) as usize).map_or([0, 0], |it| [it.0, it.1]));
        let (from, advance) = (UnixMillis(MONDAY + 9 * DAY_MS + from), [advance.0, advance.1]);
        let to = from.saturating_add(length);
        let Some(curve) = profile.curve(from, to, advance, &mut days(), &rules()) else {
            return Err(TestCaseError::reject("a register that stood still on all of them"));
        };
        cuts.sort_by(f64::total_cmp);
        let times = cuts.into_iter().map(|it| from.saturating_add((it * length as f64) as i64)).chain([to]);
        let (mut sum, mut before) = ([0, 0], curve.at(from));
        prop_assert_eq!(before, [0, 0]);
        for time in times {
            let now = curve.at(time);
            for ((sum, before), now) in sum.iter_mut().zip(before).zip(now) {
                prop_assert!(now >= before, "{before} and then {now}");
                *sum += now - before;
            }
            before = now;
        }
        prop_assert_eq!(sum, advance);
    }

    /// Forgetting is not seen by any gap that may still ask.
    #[test]
    fn what_is_forgotten_is_not_asked_for(
        there in prop::collection::vec(prop::bool::weighted(0.6), 80),
        now in 40..80_i64,
        back in 0..74_i64,
    ) {
        let of = |profile: &mut Profile, until: i64| {
            let mut days = days();
            for (day, _) in (0..until).zip(&there).filter(|(_, there)| **there) {
                for hour in 0..24 {
                    let start = UnixMillis(MONDAY + day * DAY_MS + hour * HOUR_MS);
                    profile.hour(days.day(start), start, [1 + (day * 7 + hour * 3) % 50, 0]);
                }
            }
        };
        let mut all = Profile::default();
        of(&mut all, now);
        let mut sealed = all.clone();
        let now = UnixMillis(MONDAY + now * DAY_MS);
        sealed.seal(Seal::at(now, now.saturating_add(-DAY_MS), &mut days(), &rules()));
        prop_assert!(sealed.shapes.len() <= 12, "{} days", sealed.shapes.len());
        let from = now.saturating_add(-back.min(rules().reach_ms() / HOUR_MS) * HOUR_MS);
        let curve = |profile: &Profile| profile.curve(from, from.saturating_add(8 * HOUR_MS), [1_000_000, 0], &mut days(), &rules());
        prop_assert_eq!(curve(&sealed), curve(&all));
    }
}
