//! A successor that replays from the low-water mark writes what its predecessor would have written.

use contracts::intervals::Quality;
use measure::Flags;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const METERS: usize = 3;

/// What the log holds.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Reading(Box<ReadingRecord>),
    Tick(i64),
}

/// Four days of meters that go silent, come back and send what they kept; with late, doubled, rejected, misdated and impossible readings,
/// rollovers and exchanges.
fn log(seed: u64) -> Vec<Input> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut arrivals: Vec<(i64, Input)> = Vec::new();
    for number in 0..METERS {
        let (mut time, mut energy) = (START + random.random_range(0..HOUR), random.random_range(0..9_000_i64));
        let (mut back_at, mut kept) = (i64::MIN, 0);
        while time < START + 96 * HOUR {
            time += random.random_range(20..150) * SECOND;
            energy += random.random_range(0..40);
            if random.random_bool(0.002) {
                energy = random.random_range(0..9_000);
            }
            if random.random_bool(0.002) {
                back_at = time + [10 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR][random.random_range(0..4)];
            }
            if random.random_bool(0.002) {
                time += random.random_range(0..10 * HOUR);
            }
            let mut it = reading(number, time, (energy % 10_000) as f64);
            if random.random_bool(0.01) {
                it.flags = Flags::REPLAY;
            }
            let mut arrival = time + random.random_range(0..90) * SECOND;
            if time < back_at {
                // What was kept comes a reading each five seconds, between those that are new.
                arrival = back_at + kept * 5 * SECOND;
                kept += 1;
            } else {
                kept = 0;
            }
            if random.random_bool(0.01) {
                arrival += random.random_range(0..6 * HOUR);
            }
            if random.random_bool(0.01) {
                it.time_ms = UnixMillis(time + random.random_range(-30 * HOUR..HOUR));
            }
            if random.random_bool(0.01) {
                arrivals.push((arrival + random.random_range(0..HOUR), Input::Reading(Box::new(it.clone()))));
            }
            arrivals.push((arrival, Input::Reading(Box::new(it))));
        }
    }
    let mut now = START;
    while now < START + 130 * HOUR {
        now += random.random_range(1..150) * SECOND;
        if random.random_bool(0.001) {
            now += random.random_range(0..6 * HOUR);
        }
        arrivals.push((now, Input::Tick(now)));
    }
    arrivals.sort_by_key(|it| it.0);
    arrivals.into_iter().map(|it| it.1).collect()
}

fn rules() -> Rules {
    let settings = Settings { horizon_ms: 4 * HOUR, register_modulus_wh: Some(10_000), ..Settings::default() };
    Rules::new(settings, Calendar::parse("zone = \"Asia/Kathmandu\"\ntariffs = [\"a\"]\nstandard = \"a\"").unwrap()).unwrap()
}

/// Feeds the inputs of these places; what follows from each, by its place.
fn feed(aggregator: &mut Aggregator, log: &[Input], places: std::ops::Range<usize>) -> Vec<(usize, Output)> {
    let mut records = Vec::new();
    let mut out = Vec::new();
    for place in places {
        match &log[place] {
            Input::Reading(it) => aggregator.take(place as u64, it, &mut out),
            Input::Tick(now) => aggregator.tick(UnixMillis(*now), &mut out),
        }
        records.extend(out.drain(..).map(|it| (place, it)));
    }
    records
}

/// Whoever is killed at `kills`, one after the other: the first output that is not that of one that never was, and that one's.
pub(super) fn difference(log: &[Input], kills: &[usize], rules: &Rules) -> Option<[Option<Output>; 2]> {
    let mut one = Aggregator::new(rules.clone(), LowWater::beginning(UnixMillis(START)));
    let expected = feed(&mut one, log, 0..log.len());
    let mut low_water = LowWater::beginning(UnixMillis(START));
    let mut committed = 0;
    let mut found: Vec<(usize, Output)> = Vec::new();
    for until in kills.iter().copied().chain([log.len()]) {
        let mut successor = Aggregator::new(rules.clone(), low_water);
        for (_, output) in &found {
            match output {
                Output::State(it) => successor.restore(it.meter.clone(), Some(it)),
                Output::Gone(meter) => successor.restore(meter.clone(), None),
                Output::Interval(_) => {}
            }
        }
        // Silently up to the last commit.
        feed(&mut successor, log, usize::try_from(low_water.offset).unwrap()..committed);
        found.extend(feed(&mut successor, log, committed..until));
        (committed, low_water) = (until, successor.low_water());
    }
    let place = (0..found.len().max(expected.len())).find(|it| found.get(*it) != expected.get(*it))?;
    Some([found, expected].map(|it| it.get(place).map(|it| it.1.clone())))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn intervals_after_kills_are_those_of_one_that_never_died(seed: u64, mut kills in prop::collection::vec(any::<usize>(), 1..6)) {
        let log = log(seed);
        kills.iter_mut().for_each(|it| *it %= log.len());
        kills.sort_unstable();
        prop_assert_eq!(difference(&log, &kills, &rules()), None, "seed {}, kills {:?}", seed, kills);
    }
}

#[test]
fn the_log_is_as_bad_as_it_should_be() {
    let mut one = Aggregator::new(rules(), LowWater::beginning(UnixMillis(START)));
    let log = log(1);
    feed(&mut one, &log, 0..log.len());
    let it = one.counts();
    let seen =
        [it.late, it.too_late, it.superfluous, it.duplicate, it.ahead, it.untrusted, it.gaps, it.rollovers, it.exchanges, it.revised];
    assert!(seen.iter().all(|it| *it > 0), "{it:?}");
}

/// The farthest that anything reaches back: an old day that still changes, and the gap that it begins in.
#[test]
fn the_gap_before_an_old_day_is_replayed() {
    let settings = Settings { horizon_ms: 4 * HOUR, ..Settings::default() };
    let rules = Rules::new(settings, Calendar::default()).unwrap();
    let (day, end) = (START + 48 * HOUR, START + 72 * HOUR);
    let mut arrivals: Vec<(i64, Input)> = steady(START + HOUR, end + 6 * HOUR, MINUTE)
        .into_iter()
        .map(|it| (it.time_ms.0, it))
        .filter(|(time, _)| !(day - 4 * HOUR + 10 * MINUTE..day + 5 * MINUTE).contains(time))
        .map(|(time, it)| if (end - 20 * MINUTE..end).contains(&time) { (end + 4 * HOUR - 25 * MINUTE, it) } else { (time, it) })
        .map(|(arrival, it)| (arrival, Input::Reading(Box::new(it))))
        .collect();
    arrivals.extend((1..=80 * 60).map(|minute| START + minute * MINUTE).map(|now| (now, Input::Tick(now))));
    arrivals.sort_by_key(|it| it.0);
    let kill = arrivals.iter().position(|it| it.0 >= end + 4 * HOUR - 30 * MINUTE).unwrap();
    let log: Vec<Input> = arrivals.into_iter().map(|it| it.1).collect();
    assert_eq!(difference(&log, &[kill], &rules), None);

    let mut one = Aggregator::new(rules, LowWater::beginning(UnixMillis(START)));
    let records = feed(&mut one, &log, 0..log.len());
    let records = records.into_iter().filter_map(|(place, it)| Some((place, it.interval()?)));
    let days = records.filter(|(place, it)| *place > kill && it.length == IntervalLength::Day && it.start_ms.0 == day);
    let days: Vec<_> = days.map(|(_, it)| (it.revision, it.quality)).collect();
    assert_eq!(days, [(2, Quality::Substituted)], "the day changes after the kill, and its first midnight lies in the gap");
}

#[test]
fn the_low_water_mark_moves_and_stays_within_reach() {
    let log = log(1);
    let mut one = Aggregator::new(rules(), LowWater::beginning(UnixMillis(START)));
    feed(&mut one, &log, 0..log.len());
    let (low_water, reach) = (one.low_water(), rules().reach_ms());
    let behind = START + 130 * HOUR - low_water.now.0;
    assert!(low_water.offset > 0);
    assert!((reach..reach + 30 * MINUTE).contains(&behind), "{behind} ms behind, {reach} ms of reach");
}

#[test]
fn a_replay_from_too_late_a_place_would_be_noticed() {
    // The test above can fail: half of the reach is not enough.
    let differs = (0..10).any(|seed| {
        let log = log(seed);
        let mut one = Aggregator::new(rules(), LowWater::beginning(UnixMillis(START)));
        let expected = feed(&mut one, &log, 0..log.len());
        let half = log.len() / 2;
        let begins = half - log.len() / 20;
        let Some(now) = log[..begins].iter().rev().find_map(|it| if let Input::Tick(now) = it { Some(*now) } else { None }) else {
            return false;
        };
        let mut successor = Aggregator::new(rules(), LowWater { offset: begins as u64, now: UnixMillis(now) });
        feed(&mut successor, &log, begins..half);
        let found = feed(&mut successor, &log, half..log.len());
        !expected.ends_with(&found)
    });
    assert!(differs);
}
