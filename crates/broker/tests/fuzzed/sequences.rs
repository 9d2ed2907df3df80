//! What three clients send in whatever order, through the gate's machines, with the least of a router between them.
//!
//! The input is a script: a byte for who acts and how, then what that needs. Much of it are whole packets about the three, since bytes at
//! random hardly ever get beyond CONNECT.

use std::sync::LazyLock;

use broker::Config;
use broker::config::Limits;
use broker::gate::acl::Destination;
use broker::gate::identity::{CertificateId, Identity, Role};
use broker::gate::machine::{Machine, Step};
use broker::gate::packet::{self, Delivery, Packet};
use measure::{MeterId, UnixMillis};
use wire::topic::{Shard, Topic};

const NAMES: [(&str, Role); 3] = [("m1", Role::Meter), ("p1", Role::Service), ("o1", Role::Operator)];
const FILTERS: [&str; 14] = [
    "f1/+/+/up",
    "f1/+/m1/up",
    "state/#",
    "state/+",
    "live/#",
    "live/m1",
    "alert/+/m1",
    "#",
    "$share/g/f1/+/+/up",
    "f1/+/+/dn",
    "a/#/b",
    "+",
    "live/+/+",
    "live/m1/#",
];
const TOPICS: [&str; 10] =
    ["live/m1", "live/m2", "alert/critical/m1", "state/m1", "canary", "f1/00/m2/up", "é/x", "$SYS/x", "live/m1/3", "live/m1/0"];
/// Filters that a session may hold here.
const GRANTS_MAX: usize = 4;

/// The defaults otherwise; read once, because a script is played in microseconds.
static LIMITS: LazyLock<Limits> = LazyLock::new(|| {
    let limits = Config::from_toml(broker::config::REFERENCE).unwrap().limits;
    Limits { subscriptions: GRANTS_MAX, ..limits }
});

/// One of the three.
struct Client {
    machine: Machine,
    unread: Vec<u8>,
    welcome: bool,
    over: bool,
}

/// Plays a script. Panics if somebody gets or says what is not theirs.
pub fn check(script: &[u8]) {
    let mut clients = NAMES.map(|(name, role)| {
        let certificate = CertificateId::new(b"ca", name.as_bytes());
        let identity = Identity { name: name.parse().unwrap(), role, certificate, not_after: UnixMillis(i64::MAX) };
        Client { machine: Machine::new(Ok(identity), &LIMITS), unread: Vec::new(), welcome: false, over: false }
    });
    let mut rest = script;
    while let Some((act, behind)) = rest.split_first() {
        rest = behind;
        let who = usize::from(act % 3);
        rest = say(&mut clients[who].unread, act / 3, who, rest);
        listen(&mut clients, who);
    }
}

/// Adds to what a client has sent; returns what is left of the script.
fn say<'a>(out: &mut Vec<u8>, act: u8, who: usize, script: &'a [u8]) -> &'a [u8] {
    let (&number, behind) = script.split_first().unwrap_or((&0, &[]));
    let choose = |len: usize| usize::from(number) % len;
    let id = u16::from(number) << 4 | 1;
    let text = |text: &str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
    let mut packet = |first: u8, body: &[u8]| {
        // The texts here are short.
        out.extend_from_slice(&[first, body.len() as u8]);
        out.extend_from_slice(body);
    };
    let connect = |name: &str, flags: u8| [&text("MQTT")[..], &[4, flags, 0, number], &text(name)].concat();
    match act % 12 {
        0 => packet(0x10, &connect(NAMES[who].0, 2)),
        1 => packet(0x10, &connect(NAMES[choose(3)].0, number)),
        2 => packet(0x30 | number & 0x0f, &[text(TOPICS[choose(TOPICS.len())]), b"x".to_vec()].concat()),
        3 => packet(0x32, &[&text(TOPICS[choose(TOPICS.len())])[..], &id.to_be_bytes(), b"x"].concat()),
        4 => packet(0x32, &[&text(&address("m1", "up"))[..], &id.to_be_bytes(), b"frame"].concat()),
        5 => packet(0x30, &[text(&address(NAMES[choose(3)].0, ["up", "dn", "cmd"][usize::from(number >> 4) % 3])), b"x".to_vec()].concat()),
        6 => packet(0x82, &[&id.to_be_bytes()[..], &text(FILTERS[choose(FILTERS.len())]), &[number % 4]].concat()),
        7 => {
            packet(0x82, &[&id.to_be_bytes()[..], &text(&address("m1", "dn")), &[1], &text(FILTERS[choose(FILTERS.len())]), &[0]].concat())
        }
        8 => packet(0xa2, &[&id.to_be_bytes()[..], &text(FILTERS[choose(FILTERS.len())])].concat()),
        9 => packet(0x40, &id.to_be_bytes()),
        10 => packet(0xc0, &[]),
        // Anything at all.
        _ => {
            let (raw, left) = behind.split_at(behind.len().min(usize::from(number)));
            out.extend_from_slice(raw);
            return left;
        }
    }
    behind
}

fn address(meter: &str, leaf: &str) -> String {
    format!("f1/{}/{meter}/{leaf}", Shard::of(&meter.parse().unwrap()))
}

/// Lets the gate deal with what a client has sent.
fn listen(clients: &mut [Client; 3], who: usize) {
    let bytes = std::mem::take(&mut clients[who].unread);
    let mut rest = bytes.as_slice();
    while !clients[who].over {
        match packet::next(rest, clients[who].machine.packet_bytes_max()) {
            Ok(Some((packet, len))) => {
                take(clients, who, packet);
                rest = &rest[len..];
            }
            Ok(None) => break,
            Err(malformed) => {
                let refusal = clients[who].machine.malformed(malformed);
                assert!(refusal.connack.is_none() || !clients[who].welcome, "CONNACK twice");
                clients[who].over = true;
            }
        }
    }
    clients[who].unread = rest.to_vec();
}

fn take(clients: &mut [Client; 3], who: usize, packet: Packet<'_>) {
    let filters = if let Packet::Subscribe { filters, .. } = &packet { filters.clone().count() } else { 0 };
    let (name, role) = NAMES[who];
    let client = &mut clients[who];
    let step = match client.machine.handle(packet) {
        Ok(step) => step,
        Err(refusal) => {
            assert!(refusal.connack.is_none() || !client.welcome, "CONNACK twice");
            client.over = true;
            return;
        }
    };
    assert_eq!(client.welcome, !matches!(step, Step::Welcome { .. }), "CONNECT comes first and once");
    match step {
        Step::Welcome { keep_alive } => {
            assert!((1..=1200).contains(&keep_alive.as_secs()));
            client.welcome = true;
        }
        Step::Deliver { destination, topic, payload, retain, .. } => {
            match (role, &destination) {
                (Role::Meter, Destination::Up) => assert!(topic == address(name, "up") && !retain),
                (Role::Service, Destination::Live(_)) => {}
                (
                    Role::Service,
                    Destination::Down | Destination::Acks(_) | Destination::State(_) | Destination::Command | Destination::Alert,
                ) => assert!(!retain),
                _ => panic!("{name} may not say {destination:?}"),
            }
            route(clients, topic, payload);
        }
        Step::Subscribe { codes, granted, refused, .. } => {
            assert_eq!((codes.len(), granted.len() + refused.len()), (filters, filters));
            assert_eq!(codes.iter().filter(|code| **code == 0x80).count(), refused.len());
            assert!(codes.iter().all(|code| matches!(code, 0 | 1 | 0x80)));
            assert!(granted.iter().all(|filter| client.machine.has(filter)) && client.machine.filters().count() <= GRANTS_MAX);
        }
        Step::Unsubscribe { ended, .. } => assert!(ended.iter().all(|filter| !client.machine.has(filter))),
        Step::Goodbye => client.over = true,
        Step::Acknowledged(pkid) => assert_ne!(pkid, 0),
        Step::Pong => {}
    }
}

/// Hands a message to whoever asked for it; who gets it must be entitled to, and what is written must read as it was.
fn route(clients: &[Client; 3], topic: &str, payload: &[u8]) {
    let Ok(parsed) = topic.parse::<Topic>() else { return };
    for (client, (name, role)) in clients.iter().zip(NAMES) {
        let Some(qos) = client.machine.wants(&parsed) else { continue };
        assert!(client.welcome && qos <= 1);
        match (role, &parsed) {
            (Role::Service, Topic::Up { .. } | Topic::State { .. }) => {}
            (Role::Operator, Topic::State { .. } | Topic::Live { .. } | Topic::Alert { .. }) => {}
            _ => panic!("{name} may not hear {topic}"),
        }
        let (mut out, pkid) = (Vec::new(), (qos == 1).then_some(9));
        packet::publish(&mut out, topic.as_bytes(), payload, pkid, false);
        let Ok(Some((Packet::Publish(read), len))) = packet::next(&out, usize::MAX) else { panic!("{out:02x?}") };
        let delivery = pkid.map_or(Delivery::AtMostOnce, Delivery::AtLeastOnce);
        assert_eq!((read.topic, read.payload, read.delivery, read.retain, len), (topic, payload, delivery, false, out.len()));
    }
    let meter: MeterId = NAMES[0].0.parse().unwrap();
    assert_eq!(clients[0].machine.wants(&Topic::up(&meter)), None, "a meter hears no frames");
}
