use fleet::feeder::{self, HouseInterval};
use measure::{FeederId, MeterId};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const QUARTER_MS: i64 = 900_000;
const SETTLE_MS: i64 = 7_200_000;

/// The first house has a meter at its pole and a loop of 0.3 ohm.
fn feeder() -> Feeder {
    let id: FeederId = "F1".parse().unwrap();
    let mut record = feeder::topology(&id).unwrap();
    record.houses.truncate(2);
    record.houses[0].line_side = Some("S1".parse().unwrap());
    record.houses[0].loop_ohm = Some(0.3);
    Feeder::of(record).unwrap()
}

/// What the pair registers in a quarter of an hour, at the pole and in the house.
fn quarter(number: i64, line_wh: f64, house_wh: f64) -> [IntervalRecord; 2] {
    let houses = vec![HouseInterval { energy_wh: house_wh, voltage: 229.0 }];
    let interval = feeder::Interval { line_wh, line_current: 4.0 * line_wh / 230.0, line_voltage: 230.0, houses, ..Default::default() };
    let records = feeder::records(&"F1".parse().unwrap(), UnixMillis(number * QUARTER_MS), &interval).unwrap();
    let [mut line, house] = [records[0].interval.clone(), records[1].interval.clone()];
    line.meter = "S1".parse().unwrap();
    [line, house]
}

/// What is found with a house that registers these shares of a kilowatt, a day each.
fn days(shares: &[f64]) -> Vec<Finding> {
    let (feeder, mut pairs, mut found) = (feeder(), Pairs::default(), Vec::new());
    for (share, day) in shares.iter().zip(0..) {
        for number in 0..96 {
            for record in quarter(day * 96 + number, 250.0, 250.0 * share) {
                found.extend(pairs.push(&feeder, &record, SETTLE_MS).unwrap());
            }
        }
    }
    assert!(pairs.is_of(2) && !pairs.is_of(0));
    found
}

#[test]
fn a_bypass_is_told_with_the_next_day_and_cleared_with_the_day_after_it_is_gone() {
    let found = days(&[0.99, 0.5, 0.5, 0.99, 0.99]);
    let told: Vec<_> = found.iter().map(|it| (it.begins, it.since.0 / DAY_MS, it.at.0 / DAY_MS)).collect();
    assert_eq!(told, [(true, 1, 2), (false, 3, 4)]);
    let it = &found[0];
    assert_eq!(it.subject, Subject::Meter("F1-H01".parse().unwrap()));
    assert!((it.statistic - 50.0).abs() < 1e-9 && (it.threshold - 2.65).abs() < 0.01, "{it:?}");
    assert!((it.amperes.unwrap() - 500.0 / 230.0).abs() < 1e-9 && it.evidence.len() == 2, "{it:?}");
}

#[test]
fn a_house_that_registers_too_much_is_told_as_well() {
    let found = days(&[0.99, 1.03, 1.03]);
    assert_eq!((found.len(), found[0].cause.as_deref()), (1, Some("over_registered")));
    assert!(found[0].statistic < found[0].threshold);
}

#[test]
fn half_a_day_is_the_least_and_strangers_are_no_pair() {
    let (feeder, mut pairs, mut found) = (feeder(), Pairs::default(), 0);
    for number in (0..40).chain(200..210) {
        for record in quarter(number, 250.0, 100.0) {
            found += pairs.push(&feeder, &record, SETTLE_MS).unwrap().len();
        }
    }
    assert_eq!(found, 0);
    let stranger: MeterId = feeder.houses[1].meter.clone();
    assert_eq!(pairs.push(&feeder, &IntervalRecord { meter: stranger, ..quarter(1, 1.0, 1.0)[0].clone() }, SETTLE_MS), None);
}

#[test]
fn times_far_apart_do_not_pile_up() {
    let (feeder, mut pairs) = (feeder(), Pairs::default());
    for number in (0..100_000).rev().step_by(7) {
        pairs.push(&feeder, &quarter(number, 1.0, 1.0)[0], SETTLE_MS);
    }
    for number in (0..100_000).step_by(13) {
        pairs.push(&feeder, &quarter(number, 1.0, 1.0)[0], SETTLE_MS);
    }
    assert!(pairs.is_of(1));
}

/// The bound of false alarms that an alert of a pair states: honest meters of class 1, whose errors are within their class, registers of 10 Wh,
/// loads that come in bursts within quarter hours.
#[test]
fn honest_pairs_are_left_alone_for_a_thousand_years() {
    const DAYS: usize = 365_000;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let pair = Pair { line_class: 1.0, house_class: 1.0, loop_ohm: 0.3, resolution_wh: RESOLUTION_WH };
    let (mut told, mut judged) = (0, 0);
    for day in 0..DAYS {
        // A pair keeps its errors for a year.
        let mut random_of_pair = ChaCha8Rng::seed_from_u64((day / 365) as u64);
        let mut error = || {
            let sum: f64 = (0..12).map(|_| random_of_pair.random::<f64>()).sum::<f64>() - 6.0;
            (0.004 * sum).clamp(-0.01, 0.01)
        };
        let (line_gain, house_gain) = (1.0 + error(), 1.0 + error());
        let (mut used, mut lost, mut squares) = (0.0, 0.0, 0.0);
        for _ in 0..96 {
            let base: f64 = random.random_range(50.0..300.0);
            // A kettle or an oven for a part of the quarter hour.
            let (burst, part) = if random.random::<f64>() < 0.2 { (2_000.0, random.random::<f64>()) } else { (0.0, 0.0) };
            let amperes = [base / 230.0, (base + burst) / 230.0];
            let wh = (base + burst * part) / 4.0;
            used += wh;
            lost += 0.3 * (amperes[0].powi(2) * (1.0 - part) + amperes[1].powi(2) * part) / 4.0;
            squares += (4.0 * wh / 230.0_f64).powi(2);
        }
        let step = |wh: f64| (wh / RESOLUTION_WH + random_of_pair.random::<f64>()).floor() * RESOLUTION_WH;
        let mut step = step;
        let compared = Compared {
            line_wh: step((used + lost) * line_gain),
            house_wh: step(used * house_gain),
            current: (squares / 96.0_f64).sqrt(),
            voltage: 230.0,
        };
        match pair.compare(&compared).verdict {
            Verdict::Fair => judged += 1,
            Verdict::Unknown => {}
            Verdict::Theft | Verdict::OverReading => told += 1,
        }
    }
    println!("{told} of {judged} days told, {} years", DAYS / 365);
    assert!(judged > DAYS * 9 / 10, "{judged} days were judged");
    assert_eq!(told, 0);
}
