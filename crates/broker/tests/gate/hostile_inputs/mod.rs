//! What nobody honest sends, as a table: each row of `inputs.txt` and `patience.txt` is played over real TLS while a probe, an honest meter
//! with a processor, is served beside it. After each row exactly the counters that it names have moved.
//!
//! ```text
//! name | steps, separated by ; | counters that move by one, or by "xN"
//! ```
//! A step begins with the client that takes it, `a`, `b` or `c`: see [`script`]. Names in braces are the row's own.

mod actor;
mod memory;
mod probe;
mod script;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::support::{House, eventually};
use actor::Actor;
use probe::Probe;
use script::{Act, Row};

const INPUTS: &str = include_str!("inputs.txt");
const PATIENCE: &str = include_str!("patience.txt");

/// With these deadlines for handshake and CONNECT.
async fn house(deadline_ms: u64) -> Arc<House> {
    let house = House::with(|config| {
        config.limits.handshake_ms = deadline_ms;
        config.limits.connect_ms = deadline_ms;
        config.limits.subscriptions = 8;
    });
    Arc::new(house.await)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_input_has_its_outcome_and_its_counter() {
    // No row waits for a deadline, and the probe would not be served in time behind one that does.
    let house = house(60_000).await;
    let probe = Probe::start(&house).await;
    let rows = script::rows(INPUTS);
    assert!(rows.len() > 100);
    let mut failed = Vec::new();
    for row in rows {
        let name = row.name.clone();
        // A task of its own, so that the rows behind one that fails are played too.
        if tokio::spawn(judge(house.clone(), row)).await.is_err() {
            failed.push(name);
        }
    }
    probe.stop().await;
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Plays a row and looks at the counters.
async fn judge(house: Arc<House>, row: Row) {
    let mut expected = counters(&house);
    let actors = play(&house, &row).await;
    for (counter, by) in &row.counters {
        *expected.entry(counter.clone()).or_default() += by;
    }
    let of_this_row = |counters: &BTreeMap<String, u64>| {
        let mut counters = counters.clone();
        // How sessions ended is told only by rows that say so.
        counters.retain(|name, _| !name.starts_with("ended ") || row.counters.contains_key(name));
        counters
    };
    let (expected, now) = (of_this_row(&expected), || of_this_row(&counters(&house)));
    eventually(|| now() == expected, || format!("{}: {:?} instead of {expected:?}", row.name, now())).await;
    drop(actors);
}

/// Rows that wait for a deadline, all at once.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_is_waited_for_so_long_and_no_longer() {
    // Short enough to wait for, and long enough for who is let in on a machine that has much to do.
    let house = house(5000).await;
    let probe = Probe::start(&house).await;
    let (mut playing, mut expected) = (JoinSet::new(), counters(&house));
    for row in script::rows(PATIENCE) {
        for (counter, by) in &row.counters {
            *expected.entry(counter.clone()).or_default() += by;
        }
        let house = house.clone();
        playing.spawn(async move { play(&house, &row).await });
    }
    playing.join_all().await;
    let reached = || expected.iter().all(|(counter, count)| counters(&house).get(counter).is_some_and(|it| it >= count));
    eventually(reached, || format!("{:?} instead of {expected:?}", counters(&house))).await;
    probe.stop().await;
}

/// Plays a row; the clients that are still there at its end.
async fn play(house: &House, row: &Row) -> BTreeMap<char, Actor> {
    let mut actors = BTreeMap::new();
    for step in &row.steps {
        let what = format!("{}: {}", row.name, step.text);
        match &step.act {
            Act::Open(opening) => _ = actors.insert(step.who, Actor::open(house, opening, &what).await),
            Act::Leave => drop(actors.remove(&step.who).expect(&what)),
            Act::Reset => actors.remove(&step.who).expect(&what).reset(),
            act => actors.get_mut(&step.who).expect(&what).act(act, &what).await,
        }
    }
    actors
}

/// What was refused, dropped and ended so far: `refused packet_type` and so on.
fn counters(house: &House) -> BTreeMap<String, u64> {
    let text = house.broker.metrics();
    let kinds = [("refused", "refused_total"), ("dropped", "dropped_total"), ("ended", "sessions_ended_total")];
    let line = |line: &str| {
        kinds.iter().find_map(|(kind, metric)| {
            let rest = line.strip_prefix("ferraris_broker_")?.strip_prefix(metric)?.strip_prefix("{reason=\"")?;
            let (reason, count) = rest.split_once("\"} ")?;
            Some((format!("{kind} {reason}"), count.parse().unwrap())).filter(|(_, count)| *count > 0)
        })
    };
    text.lines().filter_map(line).collect()
}
