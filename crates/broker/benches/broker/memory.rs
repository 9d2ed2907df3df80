//! What a session costs while it says nothing, and many of them.

use crate::House;
use crate::figure::{Figure, Target, Values};
use crate::load::Load;
use crate::server::{Kind, Server, say};
use crate::sessions::both;

/// As many as 20,000 descriptors a process allow with some in hand.
const MANY: usize = 15_000;

/// Idle sessions.
pub fn idle(house: &House) -> Vec<Figure> {
    let count = house.size(5000);
    let [gate, mosquitto] = both(house, |house, kind| {
        let server = Server::start(house, kind);
        let before = server.rss();
        let mut load = server.load(house, Load::Idle { sessions: count });
        load.until("connected");
        let each = (server.rss() - before) / count as f64;
        say(&format!("idle, {}: {:.1} kB a session", kind.name(), each / 1e3));
        Values::from([("each_kb".into(), each / 1e3)])
    });
    let most = mosquitto["each_kb"].min(20.0);
    vec![
        Figure::new("idle mTLS session, gate", gate["each_kb"], "kB", Target::AtMost(most)),
        Figure::new("idle mTLS session, Mosquitto", mosquitto["each_kb"], "kB", Target::None),
    ]
}

/// 15,000 sessions, each with its own topic.
pub fn sessions(house: &House) -> Vec<Figure> {
    let count = house.size(MANY);
    let [gate, mosquitto] = both(house, |house, kind| {
        let server = Server::start(house, kind);
        let (before, cpu) = (server.rss(), server.cpu_s());
        let mut load = server.load(house, Load::Commands { sessions: count, per_second: 200, seconds: house.seconds(10) });
        let half_s = load.until("half").get("seconds");
        let (half, half_cpu) = (server.rss() - before, server.cpu_s() - cpu);
        load.go();
        let all_s = load.until("all").get("seconds");
        let (all, all_cpu) = (server.rss() - before, server.cpu_s() - cpu - half_cpu);
        load.go();
        let measured = load.until("measured");
        let p99_ms = measured.get("p99_us") / 1e3;
        say(&format!(
            "{count} sessions, {}: halves in {half_s:.1} and {all_s:.1} s, {half_cpu:.2} and {all_cpu:.2} s of CPU, {:.0} and {:.0} MB, p99 of a command {p99_ms:.2} ms, {} lost",
            kind.name(),
            half / 1e6,
            all / 1e6,
            measured.get("lost")
        ));
        Values::from([
            ("seconds".into(), half_s + all_s),
            ("second_half".into(), all_s / half_s),
            ("cpu_second_half".into(), all_cpu / half_cpu),
            ("rss_mb".into(), all / 1e6),
            ("rss_second_half".into(), all / half / 2.0),
            ("p99_ms".into(), p99_ms),
            ("lost".into(), measured.get("lost")),
        ])
    });
    let mut figures = Vec::new();
    for (kind, values) in [(Kind::Gate, &gate), (Kind::Mosquitto, &mosquitto)] {
        let name = |what: &str| format!("15,000 sessions, each its own topic, {}: {what}", kind.name());
        let target = |most| if kind == Kind::Gate { Target::AtMost(most) } else { Target::None };
        figures.push(Figure::new(name("connect all"), values["seconds"], "s", Target::None));
        figures.push(Figure::new(name("time of 2nd half : 1st"), values["second_half"], "x", target(1.3)));
        figures.push(Figure::new(name("CPU of 2nd half : 1st"), values["cpu_second_half"], "x", target(1.3)));
        figures.push(Figure::new(name("memory"), values["rss_mb"], "MB", Target::None));
        figures.push(Figure::new(name("memory of all : 2 halves"), values["rss_second_half"], "x", target(1.1)));
        figures.push(Figure::new(name("p99 of a command"), values["p99_ms"], "ms", target(10.0)));
        figures.push(Figure::new(name("commands lost"), values["lost"], "", target(0.0)));
    }
    let computed = gate["rss_mb"] / count as f64 * 20_000.0;
    figures.push(Figure::new("20,000 sessions, gate: memory, computed from these", computed, "MB", Target::None));
    figures
}
