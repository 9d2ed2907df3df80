use measure::{Account, MeterId, UnixMillis};
use proptest::prelude::*;
use wire::topic::Shard;

use super::*;
use crate::config::{Config, REFERENCE};
use crate::gate::identity::CertificateId;
use crate::gate::packet;

fn id() -> MeterId {
    "m12".parse().unwrap()
}

fn live(channel: u8) -> Topic {
    Topic::Live { account: Account::new(&id(), channel) }
}

fn identity(role: Role) -> Identity {
    Identity { name: id(), role, certificate: CertificateId::new(b"ca", b"1"), not_after: UnixMillis(i64::MAX) }
}

fn limits() -> Limits {
    Config::from_toml(REFERENCE).unwrap().limits
}

fn machine(role: Role) -> Machine {
    Machine::new(Ok(identity(role)), &limits())
}

fn hello(client_id: &str) -> Connect<'_> {
    Connect { client_id, clean_session: true, keep_alive_s: 60, has_will: false }
}

fn connected(role: Role) -> Machine {
    let mut machine = machine(role);
    assert_eq!(machine.handle(Packet::Connect(hello("m12"))), Ok(Step::Welcome { keep_alive: Duration::from_secs(60) }));
    machine
}

fn subscribe(machine: &mut Machine, filters: &[(&str, u8)]) -> (Vec<u8>, Vec<Reason>) {
    let mut bytes = vec![0, 1];
    for (filter, qos) in filters {
        bytes.extend(u16::try_from(filter.len()).unwrap().to_be_bytes());
        bytes.extend(filter.as_bytes());
        bytes.push(*qos);
    }
    let bytes = [&[0x82, u8::try_from(bytes.len()).unwrap()], &bytes[..]].concat();
    let (packet, _) = packet::next(&bytes, 1000).unwrap().unwrap();
    match machine.handle(packet) {
        Ok(Step::Subscribe { codes, refused, .. }) => (codes, refused),
        other => panic!("{other:?}"),
    }
}

#[test]
fn connect_is_refused_with_the_protocols_codes() {
    let answer = |connect: Connect<'_>| machine(Role::Meter).handle(Packet::Connect(connect)).unwrap_err().connack;
    for other in ["", "m1", "M12", "a/b", "#", "m12 "] {
        assert_eq!(answer(hello(other)), Some(2), "{other:?}");
    }
    assert_eq!(answer(Connect { has_will: true, ..hello("m12") }), Some(5));
    assert_eq!(answer(Connect { keep_alive_s: 0, ..hello("m12") }), Some(5));
    let mut nobody = Machine::new(Err(InvalidSubject::Role), &limits());
    assert_eq!(nobody.handle(Packet::Connect(hello("m12"))).unwrap_err().connack, Some(5));
    assert_eq!(machine(Role::Meter).malformed(Malformed::ProtocolLevel(3)).connack, Some(1));
    assert_eq!(machine(Role::Meter).malformed(Malformed::ProtocolLevel(5)).connack, Some(0x84));
    assert_eq!(connected(Role::Meter).malformed(Malformed::ProtocolLevel(5)).connack, None);
}

#[test]
fn connect_comes_first_and_once() {
    assert_eq!(machine(Role::Meter).handle(Packet::PingReq), Err(cut(Reason::NotConnected)));
    let mut twice = connected(Role::Meter);
    assert_eq!(twice.handle(Packet::Connect(hello("m12"))), Err(cut(Reason::SecondConnect)));
    let mut refused = machine(Role::Meter);
    assert!(refused.handle(Packet::Connect(hello("other"))).is_err());
    assert!(refused.handle(Packet::Connect(hello("m12"))).is_err(), "no second try");
}

#[test]
fn a_long_keep_alive_is_shortened() {
    let step = machine(Role::Meter).handle(Packet::Connect(Connect { keep_alive_s: 65_535, ..hello("m12") }));
    assert_eq!(step, Ok(Step::Welcome { keep_alive: Duration::from_secs(1200) }));
}

#[test]
fn qos_is_granted_up_to_one() {
    let mut operator = connected(Role::Operator);
    assert_eq!(subscribe(&mut operator, &[("live/#", 2), ("state/+", 0), ("#", 0)]), (vec![1, 0, 0x80], vec![Reason::TopicUnknown]));
    assert_eq!(operator.wants(&live(0)), Some(1));
    assert_eq!(operator.wants(&Topic::State { meter: id() }), Some(0));
    assert_eq!(operator.wants(&Topic::up(&id())), None);
    // The same filter again replaces the QoS; another that overlaps adds to it.
    subscribe(&mut operator, &[("live/#", 0)]);
    assert_eq!(operator.wants(&live(0)), Some(0));
    subscribe(&mut operator, &[("live/m12", 1)]);
    assert_eq!((operator.wants(&live(0)), operator.wants(&live(3))), (Some(1), Some(0)), "the meter's other channels are not named");

    let mut meter = connected(Role::Meter);
    let own = format!("f1/{}/m12/dn", Shard::of(&id()));
    assert_eq!(subscribe(&mut meter, &[(&own, 1)]), (vec![0], vec![]));
    assert!(meter.has(&Filter::OwnDown) && !meter.has(&Filter::OwnCommand));
}

#[test]
fn subscriptions_are_bounded() {
    let mut few = Machine::new(Ok(identity(Role::Operator)), &Limits { subscriptions: 2, ..limits() });
    few.handle(Packet::Connect(hello("m12"))).unwrap();
    let (codes, refused) = subscribe(&mut few, &[("live/a", 0), ("live/b", 0), ("live/c", 0), ("live/a", 1)]);
    assert_eq!((codes, refused), (vec![0, 0, 0x80, 1], vec![Reason::Subscriptions]));
}

#[test]
fn qos_2_and_a_meters_retained_message_end_the_connection() {
    let own = format!("f1/{}/m12/up", Shard::of(&id()));
    let publish = |delivery, retain| Packet::Publish(Publish { topic: &own, payload: b"x", delivery, retain, dup: false });
    let mut meter = connected(Role::Meter);
    assert!(matches!(meter.handle(publish(Delivery::AtLeastOnce(3), false)), Ok(Step::Deliver { pkid: Some(3), .. })));
    assert_eq!(meter.handle(publish(Delivery::ExactlyOnce(3), false)), Err(cut(Reason::Qos2)));
    assert_eq!(meter.handle(publish(Delivery::AtMostOnce, true)), Err(cut(Reason::Retain)));
}

proptest! {
    /// Whatever a meter sends in whatever order, nothing is delivered before CONNECT, nor anything but its own frames.
    #[test]
    fn a_meter_can_only_deliver_its_own_frames(script in prop::collection::vec((0_u8..9, 0_usize..5), 1..20)) {
        let mut machine = machine(Role::Meter);
        let own = format!("f1/{}/m12/up", Shard::of(&id()));
        let topics = [own.as_str(), "f1/00/m1/up", "state/m12", "live/m12", "x"];
        let mut welcome = false;
        for (what, which) in script {
            let topic = topics[which];
            let publish = |delivery| Packet::Publish(Publish { topic, payload: b"x", delivery, retain: what == 8, dup: false });
            let packet = match what {
                0 | 1 => Packet::Connect(hello("m12")),
                2 => Packet::Connect(hello("m13")),
                3 => Packet::PingReq,
                4 => Packet::PubAck(1),
                5 => publish(Delivery::ExactlyOnce(1)),
                6 => publish(Delivery::AtLeastOnce(1)),
                _ => publish(Delivery::AtMostOnce),
            };
            match machine.handle(packet) {
                Ok(Step::Welcome { .. }) => {
                    prop_assert!(!welcome);
                    welcome = true;
                }
                Ok(Step::Deliver { topic, retain, .. }) => {
                    prop_assert!(welcome && !retain);
                    prop_assert_eq!(topic, &own);
                }
                Ok(_) => prop_assert!(welcome),
                Err(_) => break,
            }
        }
    }
}
