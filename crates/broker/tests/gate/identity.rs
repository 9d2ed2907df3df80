//! Who is let in, as whom, and what each may say.

use std::sync::Arc;
use std::time::Duration;

use pki::{Authority, IssueOptions, Role};
use rcgen::{CertificateParams, DnType, DnValue, ExtendedKeyUsagePurpose, Issuer, KeyPair, date_time_ymd};
use rustls::ClientConfig;
use rustls::pki_types::PrivateKeyDer;
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::support::{Client, House, PATIENCE, Raw, builder, command, connect_packet, down, packet, shard, subscribe_packet, text, up};

/// A certificate of this house's authority with a subject that it would not issue.
fn strange(house: &House, change: impl FnOnce(&mut CertificateParams)) -> Arc<ClientConfig> {
    let dir = house.authority_dir();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), KeyPair::from_pem(&read("ca.key")).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1));
    params.use_authority_key_identifier_extension = true;
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Arc::new(builder(&dir.join("ca.pem")).with_client_auth_cert(vec![certificate.der().clone()], key).unwrap())
}

fn subject(params: &mut CertificateParams, name: &str, unit: &str) {
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
}

/// A connection that the broker must end before it answers anything. In TLS 1.3 the client learns of it at its first read.
async fn is_refused_in_the_handshake(house: &House, config: Arc<ClientConfig>) {
    if let Ok(mut client) = Client::tls(house.broker.mqtts_addr(), config).await {
        let _ = client.try_send(&connect_packet("m1", 60)).await;
        client.is_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_valid_certificates_of_the_authority_come_in() {
    let house = House::new().await;
    let mut processor = house.processor("p1").await;
    let anonymous = builder(&house.config.tls.ca_file).with_no_client_auth();
    is_refused_in_the_handshake(&house, Arc::new(anonymous)).await;
    house.refused_eventually("tls_no_certificate", 1).await;

    let other_dir = tempfile::tempdir().unwrap();
    let mut other = Authority::create(other_dir.path().join("pki")).unwrap();
    let foreign = other.issue("m1", Role::Meter, &IssueOptions::default()).unwrap();
    let foreign = crate::support::client_config(&house.config.tls.ca_file, &foreign.certificate, &foreign.key);
    is_refused_in_the_handshake(&house, foreign).await;
    house.refused_eventually("tls_unknown_issuer", 1).await;

    let expired = strange(&house, |params| {
        subject(params, "m1", "meter");
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    is_refused_in_the_handshake(&house, expired).await;
    house.refused_eventually("tls_expired", 1).await;

    let early = strange(&house, |params| {
        subject(params, "m1", "meter");
        params.not_before = date_time_ymd(2098, 1, 1);
    });
    is_refused_in_the_handshake(&house, early).await;
    house.refused_eventually("tls_not_valid_yet", 1).await;

    let server = strange(&house, |params| {
        subject(params, "m1", "meter");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    is_refused_in_the_handshake(&house, server).await;
    house.refused_eventually("tls_purpose", 1).await;

    let authority_as_client = strange(&house, |params| {
        subject(params, "m1", "meter");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    is_refused_in_the_handshake(&house, authority_as_client).await;
    house.refused_eventually("tls_certificate", 1).await;
    house.serves(&mut processor, "m1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_certificate() {
    let house = House::new().await;
    // A busy machine may need longer to connect than the certificate is valid: then one of twice the time.
    let mut lifetime = Duration::from_secs(2);
    let (short, mut meter) = loop {
        lifetime *= 2;
        let end = OffsetDateTime::now_utc() + lifetime;
        let short = strange(&house, |params| {
            subject(params, "m1", "meter");
            params.not_after = end;
        });
        if let Ok(mut meter) = Client::tls(house.broker.mqtts_addr(), short.clone()).await
            && meter.try_send(&connect_packet("m1", 60)).await.is_ok()
            && meter.read().await == Some(Raw::new(0x20, &[0, 0]))
        {
            break (short, meter);
        }
        // The certificate has whole seconds.
        assert!(OffsetDateTime::now_utc() >= end - Duration::from_secs(1), "refused while it was valid\n{}", house.broker.metrics());
    };
    meter.is_closed().await;
    assert_eq!(house.count("sessions_ended_total", "reason=\"certificate_expired\""), 1);
    let refused = house.refused("expired");
    // Not even by resuming the TLS session of the time when it was valid.
    is_refused_in_the_handshake(&house, short).await;
    assert_eq!(house.refused("expired"), refused + 1, "{}", house.broker.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_must_name_one_client_in_one_role() {
    let house = House::new().await;
    let mut refused = 0;
    let strange_ones: [fn(&mut CertificateParams); 11] = [
        |params| subject(params, "m1", "admin"),
        |params| params.distinguished_name.push(DnType::CommonName, "m1"),
        |params| params.distinguished_name.push(DnType::OrganizationalUnitName, "meter"),
        |params| subject(params, "a/b", "meter"),
        |params| subject(params, "é", "meter"),
        |params| subject(params, "m1\0x", "meter"),
        |params| subject(params, "", "meter"),
        |params| {
            // Two bytes a character: the same letters to whoever prints them.
            params.distinguished_name.push(DnType::CommonName, DnValue::BmpString("m1".try_into().unwrap()));
            params.distinguished_name.push(DnType::OrganizationalUnitName, "meter");
        },
        |params| {
            subject(params, "m1", "meter");
            params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 11]), "operator");
        },
        |params| {
            // Made for nothing in particular, which TLS takes for everything.
            subject(params, "m1", "meter");
            params.extended_key_usages.clear();
        },
        |params| {
            subject(params, "m1", "meter");
            params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "m2");
        },
    ];
    for change in strange_ones {
        let mut client = Client::tls(house.broker.mqtts_addr(), strange(&house, change)).await.unwrap();
        client.send(&connect_packet("m1", 60)).await;
        assert_eq!(client.next().await, Raw::new(0x20, &[0, 5]));
        client.is_closed().await;
        refused += 1;
        assert_eq!(house.refused("certificate_subject"), refused);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_is_answered_with_the_protocols_codes() {
    let house = House::new().await;
    let level = |name: &[u8], level: u8| packet(0x10, &[&text(name)[..], &[level, 2, 0, 60], &text(b"m1")].concat());
    let with = |flags: u8, keep_alive: u8, id: &[u8], rest: &[u8]| {
        packet(0x10, &[&text(b"MQTT")[..], &[4, flags, 0, keep_alive], &text(id), rest].concat())
    };
    let cases: [(Vec<u8>, u8); 12] = [
        (level(b"MQTT", 3), 1),
        (level(b"MQTT", 255), 1),
        (level(b"MQIsdp", 3), 1),
        (connect_packet("m2", 60), 2),
        (connect_packet("M1", 60), 2),
        (connect_packet("", 60), 2),
        (connect_packet("a/b", 60), 2),
        (connect_packet("#", 60), 2),
        (connect_packet("$x", 60), 2),
        (with(0x06, 60, b"m1", b"\0\x01t\0\0"), 5),
        (with(0x06, 60, b"m1", b"\0\x04\xc3\xa9/x\0\0"), 5),
        (with(0x02, 0, b"m1", b""), 5),
    ];
    let config = house.credentials("m1", Role::Meter);
    // Each twice: what kills other brokers is a second connection with the same strange client id.
    for (bytes, code) in cases.iter().chain(&cases) {
        let mut client = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
        client.send(bytes).await;
        assert_eq!(client.next().await, Raw::new(0x20, &[0, *code]), "{bytes:02x?}");
        client.is_closed().await;
    }
    // MQTT 5 is refused in its own words: unsupported protocol version, no properties.
    let mut client = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
    client.send(&packet(0x10, &[&text(b"MQTT")[..], &[5, 2, 0, 60, 5, 0x11, 0, 0, 0, 60], &text(b"m1")].concat())).await;
    assert_eq!(client.next().await, Raw::new(0x20, &[0, 0x84, 0]));
    client.is_closed().await;
    // A name and a password mean nothing, and nothing is ever kept for a session.
    let mut client = Client::tls(house.broker.mqtts_addr(), config).await.unwrap();
    client.send(&with(0xc0, 60, b"m1", b"\0\x01u\0\x01p")).await;
    assert_eq!(client.next().await, Raw::new(0x20, &[0, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_that_speaks_for_another_is_cut() {
    let house = House::new().await;
    let mut processor = house.processor("p1").await;
    let config = house.credentials("m1", Role::Meter);
    let wrong_shard = wire::topic::Shard::all().find(|it| *it != shard("m1")).unwrap();
    let topics = [
        up("m2"),
        up("m12"),
        up("M1"),
        format!("f1/{wrong_shard}/m1/up"),
        down("m1"),
        command("m1"),
        "state/m1".to_owned(),
        "live/m1".to_owned(),
        "alert/critical/m1".to_owned(),
        "canary".to_owned(),
    ];
    for topic in &topics {
        let mut client = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
        client.connect("m1").await;
        client.publish(topic, b"forged", Some(1), false).await;
        client.is_closed().await;
    }
    assert_eq!(house.refused("topic_foreign"), 4);
    assert_eq!(house.refused("topic_role"), 6);
    house.serves(&mut processor, "m1").await;
    processor.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_are_not_allowed_get_0x80_and_hear_nothing() {
    let house = House::new().await;
    let (mut spy, mut processor, mut service) =
        (house.meter("spy").await, house.processor("p1").await, house.connected("p2", Role::Service).await);
    let other = [down("m1"), up("m1"), command("m1"), up("spy")];
    let filters = ["#", "+/#", "+", "f1/#", "f1/+/+/dn", "f1/+/spy/dn", "$SYS/#", "$share/g/#", "a/#/b", "a+", "live/+", "state/spy"];
    let asked: Vec<(&str, u8)> = filters.into_iter().chain(other.iter().map(String::as_str)).map(|filter| (filter, 1)).collect();
    assert_eq!(spy.subscribe(1, &asked).await, vec![0x80; asked.len()]);
    let mut meter = house.meter("m1").await;
    assert_eq!(meter.subscribe(1, &[(&down("m1"), 1)]).await, [0]);
    meter.publish(&up("m1"), b"secret", Some(1), false).await;
    processor.message().await;
    service.publish(&down("m1"), b"secret", None, false).await;
    meter.next().await;
    meter.message().await;
    spy.is_quiet().await;

    let mut operator = house.connected("anna", Role::Operator).await;
    assert_eq!(operator.subscribe(1, &[("#", 0), ("f1/+/+/up", 0), (&down("m1"), 0), ("live/#", 0)]).await, [0x80, 0x80, 0x80, 0]);
    assert_eq!(service.subscribe(1, &[("live/#", 0), ("#", 0), ("state/+", 0)]).await[..2], [0x80, 0x80]);
    operator.publish("live/m1", b"forged", None, true).await;
    operator.is_closed().await;
    // Ten thousand filters at once are too large a packet; over the limit of filters each gets its answer.
    let many: Vec<String> = (0..140).map(|number| format!("live/m{number}")).collect();
    let many: Vec<(&str, u8)> = many.iter().map(|filter| (filter.as_str(), 0)).collect();
    let mut operator = house.connected("anna", Role::Operator).await;
    operator.send(&subscribe_packet(2, &many)).await;
    let codes = timeout(PATIENCE, operator.next()).await.unwrap().body;
    assert_eq!(codes[2..].iter().filter(|code| **code == 0x80).count(), 12);
}
