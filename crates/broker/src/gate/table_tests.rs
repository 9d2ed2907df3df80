use measure::UnixMillis;
use std::time::Duration;

use super::*;
use crate::config::Limits;
use crate::gate::identity::CertificateId;
use crate::gate::inbox::Pool;
use crate::gate::rate::Allowances;

fn identity(role: Role, serial: u8) -> Identity {
    named("x", role, serial)
}

fn named(name: &str, role: Role, serial: u8) -> Identity {
    let certificate = CertificateId::new(b"ca", &[serial]);
    Identity { name: name.parse().unwrap(), role, certificate, not_after: UnixMillis(0) }
}

fn inbox() -> Arc<Inbox> {
    Arc::new(Inbox::new(&Limits::default(), Pool::new(1000)))
}

#[tokio::test]
async fn the_newer_session_stays() {
    let (table, now) = (Table::default(), Instant::now());
    let (old, new, other) = (inbox(), inbox(), inbox());
    let meter = identity(Role::Meter, 1);
    assert_eq!(table.enter(&meter, 1, old.clone(), UnixMillis(0), now), Entered::Alone);
    assert_eq!(table.enter(&identity(Role::Operator, 2), 2, other.clone(), UnixMillis(0), now), Entered::Alone);
    assert_eq!(table.enter(&meter, 4, new.clone(), UnixMillis(0), now), Entered::Replaced);
    assert_eq!(old.next().await.err(), Some(Cut::TakenOver));
    assert!(!table.leave(&meter, 1), "the old one must not take the new one's place away");
    assert_eq!(table.enter(&meter, 3, inbox(), UnixMillis(0), now), Entered::TooLate, "one that was overtaken must not either");
    assert!(Arc::ptr_eq(&table.meter(&meter.name).unwrap(), &new));
    assert_eq!(table.cut(Cut::Revoked, |identity| *identity.certificate.serial == [2]), 1);
    assert_eq!(other.next().await.err(), Some(Cut::Revoked));
    assert!(table.leave(&meter, 4));
    assert!(table.meter(&meter.name).is_none());
}

#[tokio::test]
async fn only_a_meters_older_session_is_ended_for_one_elsewhere() {
    let (table, now) = (Table::default(), Instant::now());
    let (of_meter, of_operator) = (inbox(), inbox());
    let meter = identity(Role::Meter, 1);
    table.enter(&meter, 1, of_meter.clone(), UnixMillis(100), now);
    table.enter(&identity(Role::Operator, 2), 2, of_operator.clone(), UnixMillis(0), now);
    for (name, since) in [(&meter.name, 99), (&meter.name, 100), (&"y".parse().unwrap(), 200)] {
        assert!(table.cut_older(name, UnixMillis(since)).is_none(), "{name} {since}");
    }
    let (cut, _) = table.cut_older(&meter.name, UnixMillis(101)).unwrap();
    assert_eq!((cut.role, cut.name), (Role::Meter, meter.name));
    assert_eq!(of_meter.next().await.err(), Some(Cut::TakenOver));
    assert_eq!(table.cut(Cut::Revoked, |identity| *identity.certificate.serial == [2]), 1);
    assert_eq!(of_operator.next().await.err(), Some(Cut::Revoked), "the operator of the same name was still there");
}

#[test]
fn connections_of_one_identity_are_bounded() {
    let (table, meter, now) = (Table::default(), identity(Role::Meter, 1), Instant::now());
    let connected = || table.connected(&meter, 2, now);
    assert!(connected() && connected() && !connected());
    table.disconnected(&meter, now);
    assert!(connected());
    table.disconnected(&meter, now);
    table.disconnected(&meter, now);
    assert!(lock(&table.0).entries.is_empty());
}

#[test]
fn what_an_identity_spent_outlives_its_connections_but_not_for_ever() {
    let (table, now, limits) = (Table::default(), Instant::now(), Limits::default());
    let spend = |meter: &Identity| {
        assert!(table.connected(meter, 1, now));
        let (_, standing) = table.look_up(meter, 1, now);
        lock(&standing).charge(Allowances::new(&limits).of(Role::Meter), limits.meter.messages_burst, 0, now);
        table.disconnected(meter, now);
        standing
    };
    let meter = identity(Role::Meter, 1);
    let spent = spend(&meter);
    assert!(Arc::ptr_eq(&spent, &table.look_up(&meter, 2, now).1), "a new connection begins with a full bucket");
    // However many come once and never again, those that have nothing to be remembered for go.
    let all = 10 * SWEEP_LEAST;
    for number in 0..all {
        spend(&named(&format!("m{number}"), Role::Meter, 1));
    }
    assert_eq!(lock(&table.0).entries.len(), all + 1, "nobody is forgotten before the bucket is full again");
    let later = now + Duration::from_secs(3600);
    for number in 0..all {
        let visitor = named(&format!("n{number}"), Role::Meter, 1);
        assert!(table.connected(&visitor, 1, later));
        table.disconnected(&visitor, later);
    }
    // Those who came for an instant leave nothing; of the others the table keeps at most what it held when it was last looked through.
    let content = lock(&table.0);
    assert!(content.entries.len() <= content.sweep_at.max(SWEEP_LEAST));
}
