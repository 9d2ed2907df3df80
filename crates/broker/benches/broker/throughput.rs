//! Messages: as many as go, and at a meter's pace.

use crate::House;
use crate::figure::{Figure, Target, Values, medians};
use crate::load::Load;
use crate::server::{Kind, Server, say};

const PUBLISHERS: usize = 500;
const WINDOW: usize = 100;

/// 500 publishers, QoS 1, to one subscriber.
pub fn unthrottled(house: &House) -> Vec<Figure> {
    let kinds = [Kind::Gate, Kind::Mosquitto, Kind::MosquittoPlain];
    let mut rounds: [Vec<Values>; 3] = Default::default();
    for _ in 0..house.rounds() {
        for (kind, rounds) in kinds.into_iter().zip(&mut rounds) {
            rounds.push(flood(house, kind));
        }
    }
    let [gate, mosquitto, plain] = rounds.map(|rounds| medians(&rounds));
    let mut figures = Vec::new();
    for (kind, values) in kinds.into_iter().zip([&gate, &mosquitto, &plain]) {
        let name = |what: &str| format!("500 publishers QoS 1, {}: {what}", kind.name());
        figures.push(Figure::new(name("deliveries"), values["per_second"], "1/s", Target::None));
        figures.push(Figure::new(name("CPU"), values["cpu_us"], "us/msg", Target::None));
        figures.push(Figure::new(name("lost"), values["lost"], "", if kind == Kind::Gate { Target::AtMost(0.0) } else { Target::None }));
    }
    let ratio = |other: &Values| gate["per_second"] / other["per_second"];
    // The gate has no listener without TLS: it keeps its mTLS here and gives Mosquitto the advantage of none.
    figures.push(Figure::new("deliveries, gate with mTLS : Mosquitto without TLS", ratio(&plain), "x", Target::AtLeast(6.0)));
    figures.push(Figure::new("deliveries, both with mTLS", ratio(&mosquitto), "x", Target::AtLeast(4.0)));
    figures
}

fn flood(house: &House, kind: Kind) -> Values {
    let server = Server::start_without_rates(house, kind);
    let messages = house.size(if kind == Kind::Gate { 1_000_000 } else { 300_000 });
    let mut load = server.load(house, Load::Flood { publishers: PUBLISHERS, window: WINDOW, messages });
    load.until("connected");
    let cpu = server.cpu_s();
    load.go();
    let done = load.until("done");
    let delivered = done.get("delivered");
    let cpu_us = (server.cpu_s() - cpu) / delivered * 1e6;
    let per_second = delivered / done.get("seconds");
    say(&format!("throughput, {}: {per_second:.0}/s, {cpu_us:.1} us/msg, {} lost", kind.name(), done.get("lost")));
    Values::from([("per_second".into(), per_second), ("cpu_us".into(), cpu_us), ("lost".into(), done.get("lost"))])
}

/// 5,000 publishers that send one message a second each.
pub fn paced(house: &House) -> Vec<Figure> {
    let kinds = [Kind::Gate, Kind::Mosquitto];
    let mut rounds: [Vec<Values>; 2] = Default::default();
    for _ in 0..house.rounds() {
        for (kind, rounds) in kinds.into_iter().zip(&mut rounds) {
            rounds.push(pace(house, kind));
        }
    }
    let [gate, mosquitto] = rounds.map(|rounds| medians(&rounds));
    let mut figures = Vec::new();
    for (kind, values) in kinds.into_iter().zip([&gate, &mosquitto]) {
        let name = |what: &str| format!("5,000 publishers at 5,000/s, mTLS, {}: {what}", kind.name());
        let ours = kind == Kind::Gate;
        let target = |most: f64| if ours { Target::AtMost(most) } else { Target::None };
        figures.push(Figure::new(name("CPU"), values["cpu_us"], "us/msg", target(mosquitto["cpu_us"])));
        figures.push(Figure::new(name("p50"), values["p50_ms"], "ms", Target::None));
        figures.push(Figure::new(name("p99"), values["p99_ms"], "ms", target(2.0)));
        figures.push(Figure::new(name("lost"), values["lost"], "", target(0.0)));
    }
    figures
}

fn pace(house: &House, kind: Kind) -> Values {
    let server = Server::start(house, kind);
    let count = house.size(5000);
    let load = Load::Paced { publishers: count, per_second: count, seconds: house.seconds(10), windows: 1 };
    let mut load = server.load(house, load);
    load.until("warm");
    let cpu = server.cpu_s();
    load.go();
    let done = load.until("measured");
    let cpu_us = (server.cpu_s() - cpu) / done.get("delivered_in_all") * 1e6;
    let (p50, p99) = (done.get("p50_us") / 1e3, done.get("p99_us") / 1e3);
    say(&format!("paced, {}: {cpu_us:.1} us/msg, p50 {p50:.2} ms, p99 {p99:.2} ms, {} lost", kind.name(), done.get("lost")));
    Values::from([("cpu_us".into(), cpu_us), ("p50_ms".into(), p50), ("p99_ms".into(), p99), ("lost".into(), done.get("lost"))])
}
