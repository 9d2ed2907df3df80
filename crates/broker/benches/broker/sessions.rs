//! Connections: handshakes a second, and everybody at once.

use crate::House;
use crate::figure::{Figure, Target, Values, medians};
use crate::load::Load;
use crate::server::{Kind, Server, say};

/// Full handshakes, 8 at a time.
pub fn handshakes(house: &House) -> Vec<Figure> {
    rate(house, false, 1.2)
}

/// Resumed ones.
pub fn resumed(house: &House) -> Vec<Figure> {
    rate(house, true, 2.0)
}

fn rate(house: &House, resume: bool, target: f64) -> Vec<Figure> {
    let what = if resume { "resumed handshakes" } else { "full mTLS handshakes" };
    let [gate, mosquitto] = both(house, |house, kind| {
        // Eight meters connect thousands of times a second, which their rate would not let them.
        let server = Server::start_without_rates(house, kind);
        let mut load = server.load(house, Load::Handshakes { parallel: 8, seconds: house.seconds(5), resume });
        load.until("warm");
        let cpu = server.cpu_s();
        load.go();
        let done = load.until("done");
        let per_second = done.get("made") / done.get("seconds");
        let cpu_ms = (server.cpu_s() - cpu) / done.get("made") * 1e3;
        say(&format!("{what}, {}: {per_second:.0}/s, {cpu_ms:.2} ms each, {} failed", kind.name(), done.get("failed")));
        Values::from([("per_second".into(), per_second), ("cpu_ms".into(), cpu_ms)])
    });
    let mut figures = Vec::new();
    for (kind, values) in [(Kind::Gate, &gate), (Kind::Mosquitto, &mosquitto)] {
        figures.push(Figure::new(format!("{what}, 8 at a time, {}", kind.name()), values["per_second"], "1/s", Target::None));
        figures.push(Figure::new(format!("{what}, {}: CPU", kind.name()), values["cpu_ms"], "ms", Target::None));
    }
    let ratio = gate["per_second"] / mosquitto["per_second"];
    figures.push(Figure::new(format!("{what}, gate : Mosquitto"), ratio, "x", Target::AtLeast(target)));
    figures
}

/// The broker is killed and started again; 5,000 sessions come back at once, with full handshakes since nobody knows them any more.
pub fn storm(house: &House) -> Vec<Figure> {
    let count = house.size(5000);
    let [gate, mosquitto] = both(house, |house, kind| {
        let server = Server::start(house, kind);
        let mut load = server.load(house, Load::Storm { sessions: count });
        load.until("connected");
        let _server = server.restart(house);
        load.go();
        let back = load.until("back");
        let (seconds, missing, refused) = (back.get("seconds"), back.get("missing"), back.get("refused"));
        say(&format!("storm of {count}, {}: all back after {seconds:.2} s, {missing} missing, {refused} attempts refused", kind.name()));
        Values::from([("seconds".into(), seconds), ("missing".into(), missing), ("refused".into(), refused)])
    });
    let mut figures = Vec::new();
    for (kind, values) in [(Kind::Gate, &gate), (Kind::Mosquitto, &mosquitto)] {
        let name = |what: &str| format!("5,000 sessions reconnect at once, {}: {what}", kind.name());
        let target = |most| if kind == Kind::Gate { Target::AtMost(most) } else { Target::None };
        figures.push(Figure::new(name("all back"), values["seconds"], "s", target(10.0)));
        figures.push(Figure::new(name("never back"), values["missing"], "", target(0.0)));
        figures.push(Figure::new(name("attempts refused"), values["refused"], "", Target::None));
    }
    figures
}

/// Medians of rounds that alternate between gate and Mosquitto.
pub fn both(house: &House, measure: impl Fn(&House, Kind) -> Values) -> [Values; 2] {
    let mut rounds: [Vec<Values>; 2] = Default::default();
    for _ in 0..house.rounds() {
        for (kind, rounds) in [Kind::Gate, Kind::Mosquitto].into_iter().zip(&mut rounds) {
            rounds.push(measure(house, kind));
        }
    }
    rounds.map(|rounds| medians(&rounds))
}
