use super::super::topology::Topology;
use super::*;

fn feeder(phases: [&str; 4]) -> Feeder {
    let house = |(number, phase): (usize, &str)| {
        let phase = if phase.is_empty() { String::new() } else { format!("phase = '{phase}'\n") };
        format!("[[feeder.house]]\nmeter = 'M{number}'\npole = 'p'\n{phase}")
    };
    let houses: String = phases.into_iter().enumerate().map(house).collect();
    Topology::parse(&format!("[[feeder]]\nid = 'F1'\nline_meter = 'L'\npoles = ['p']\n{houses}")).unwrap().feeders.remove(0)
}

/// Houses that take these currents at 230 V.
fn quarter(number: i64, amperes: [f64; 4]) -> FeederInterval {
    FeederInterval {
        start: UnixMillis(number * QUARTER_MS),
        line_wh: 0.0,
        line_current_squared: 0.0,
        line_voltage: 230.0,
        houses: amperes.iter().map(|it| Some((it * 230.0 / 4.0, 230.0))).collect(),
    }
}

/// What is told of quarter hours, by their number.
fn told(feeder: &Feeder, quarters: impl IntoIterator<Item = FeederInterval>) -> Vec<(i64, bool)> {
    let mut unbalance = Unbalance::default();
    let findings = quarters.into_iter().filter_map(|it| unbalance.push(feeder, &it));
    findings.map(|it| (it.at.0 / QUARTER_MS, it.begins)).collect()
}

const PHASES: [&str; 4] = ["L1", "L2", "L3", "L3"];
/// 40 %, 25 % and 10 % above the mean of 10 A.
const FAR: [f64; 4] = [14.0, 8.0, 4.0, 4.0];
const BETWEEN: [f64; 4] = [12.5, 8.75, 4.0, 4.75];
const NEAR: [f64; 4] = [11.0, 9.5, 4.5, 5.0];

#[test]
fn an_hour_beyond_the_limit_is_told_and_an_hour_behind_it_ends_it() {
    let feeder = feeder(PHASES);
    let loads = [NEAR, FAR, FAR, FAR, FAR, FAR, BETWEEN, BETWEEN, BETWEEN, BETWEEN, BETWEEN, NEAR, NEAR, NEAR, NEAR, NEAR];
    let quarters = loads.into_iter().zip(100..).map(|(it, number)| quarter(number, it));
    assert_eq!(told(&feeder, quarters), [(105, true), (115, false)]);
}

#[test]
fn three_quarters_of_an_hour_are_not_told() {
    let loads = [NEAR, FAR, FAR, FAR, NEAR, NEAR, NEAR, NEAR, NEAR];
    let quarters = loads.into_iter().zip(100..).map(|(it, number)| quarter(number, it));
    assert_eq!(told(&feeder(PHASES), quarters), []);
}

#[test]
fn the_finding_says_how_much_each_phase_carries() {
    let feeder = feeder(PHASES);
    let mut unbalance = Unbalance::default();
    let found: Vec<Finding> = (100..106).filter_map(|it| unbalance.push(&feeder, &quarter(it, FAR))).collect();
    let [it] = &found[..] else { panic!("{found:?}") };
    assert!((it.statistic - 40.0).abs() < 1e-9 && it.threshold == 30.0, "{it:?}");
    assert_eq!(it.cause.as_deref(), Some("L1 14.0 A, L2 8.0 A, L3 8.0 A"));
    assert_eq!((it.since, it.subject.to_string().as_str()), (UnixMillis(100 * QUARTER_MS), "feeder F1"));
    assert_eq!(it.evidence.len(), 5);
}

#[test]
fn what_is_missing_ends_no_alarm_and_makes_none() {
    let feeder = feeder(PHASES);
    let missing = |number| FeederInterval { houses: vec![None; 4], ..quarter(number, FAR) };
    let idle = |number| quarter(number, [1.0, 0.0, 0.0, 0.0]);
    let alarm: Vec<_> = (100..105).map(|it| quarter(it, FAR)).collect();
    let gap = (105..200).map(|it| if it % 2 == 0 { missing(it) } else { idle(it) });
    let after = (200..205).map(|it| quarter(it, NEAR));
    assert_eq!(told(&feeder, alarm.into_iter().chain(gap).chain(after)), [(104, true), (204, false)]);
    let now_and_then = (100..200).map(|it| if it % 3 == 0 { missing(it) } else { quarter(it, FAR) });
    assert_eq!(told(&feeder, now_and_then), []);
}

#[test]
fn nothing_is_said_where_a_phase_is_not_known() {
    let far = || (100..120).map(|it| quarter(it, FAR));
    assert_eq!(told(&feeder(["L1", "L2", "L3", ""]), far()), []);
    let nonsense = far().map(|it| FeederInterval { houses: vec![Some((f64::NAN, 230.0)), Some((1.0, 0.0)), None, None], ..it });
    assert_eq!(told(&feeder(PHASES), nonsense), []);
    let one_too_many = far().map(|mut it| {
        it.houses.push(Some((1.0, 230.0)));
        it
    });
    assert_eq!(told(&feeder(PHASES), one_too_many), []);
}
