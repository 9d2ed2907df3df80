//! The TLS layer: versions and suites, tickets, and files that change while the broker runs.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pki::{Authority, IssueOptions, Role};
use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, SerialNumber};
use rustls::ClientConfig;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use crate::support::{Client, House, PATIENCE, client_config, configuration, connect_packet, eventually};

/// Connects, which leaves a ticket with the client. Whether it came in by an earlier ticket.
async fn visit(house: &House, config: &Arc<ClientConfig>, name: &str) -> bool {
    let mut client = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
    client.connect(name).await;
    client.is_quiet().await;
    client.is_resumed()
}

/// Shows a ticket, which the TLS layer takes, and is sent away all the same.
async fn is_sent_away_with_its_ticket(house: &House, config: &Arc<ClientConfig>, reason: &str) {
    let before = house.refused(reason);
    let mut client = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
    assert!(client.is_resumed(), "no ticket was taken: the test shows nothing");
    let _ = client.try_send(&connect_packet("m1", 60)).await;
    client.is_closed().await;
    assert_eq!(house.refused(reason), before + 1, "{}", house.broker.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_resume_but_a_revoked_meter_does_not() {
    let house = House::with(|config| config.tls.watch_ms = 3_600_000).await;
    let honest = house.credentials("honest", Role::Meter);
    assert!(!visit(&house, &honest, "honest").await);
    for credentials in [House::credentials, House::older_credentials] {
        let config = credentials(&house, "m1", Role::Meter);
        assert!(!visit(&house, &config, "m1").await);
        assert!(visit(&house, &config, "m1").await);
        house.revoke_all("m1");
        house.broker.reload().await.unwrap();
        is_sent_away_with_its_ticket(&house, &config, "revoked").await;
    }
    assert!(visit(&house, &honest, "honest").await, "a new list should not cost everyone a full handshake");
}

/// A revocation list of this authority without entries that ends soon.
fn write_list_until(authority: &Path, until: OffsetDateTime) {
    let read = |name: &str| fs::read_to_string(authority.join(name)).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), KeyPair::from_pem(&read("ca.key")).unwrap()).unwrap();
    let list = CertificateRevocationListParams {
        this_update: OffsetDateTime::now_utc() - Duration::from_secs(60),
        next_update: until,
        crl_number: SerialNumber::from(1_000_000),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    fs::write(authority.join("crl.pem"), list.signed_by(&issuer).unwrap().pem().unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_past_its_end_keeps_everyone_out_with_or_without_ticket() {
    let house = House::with(|config| {
        config.tls.watch_ms = 3_600_000;
        config.limits.connections_per_identity = 1000;
    })
    .await;
    let (config, other) = (house.credentials("m1", Role::Meter), house.credentials("m2", Role::Meter));
    visit(&house, &config, "m1").await;
    // A busy machine may need longer to connect than the list is valid: then one of twice the time.
    let mut lifetime = Duration::from_millis(1500);
    let until = loop {
        lifetime *= 2;
        // The list has whole seconds.
        let until = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap() + lifetime;
        write_list_until(&house.authority_dir(), until);
        if house.broker.reload().await.is_ok() && visit_if_let_in(&house, &config).await {
            break until;
        }
        assert!(OffsetDateTime::now_utc() >= until, "kept out by a list in force\n{}", house.broker.metrics());
    };
    let (deadline, mut looks) = (Instant::now() + PATIENCE, interval(Duration::from_millis(50)));
    while visit_if_let_in(&house, &config).await {
        looks.tick().await;
        assert!(Instant::now() < deadline, "let in by a list past its end");
    }
    assert!(OffsetDateTime::now_utc() >= until, "refused too early");
    is_sent_away_with_its_ticket(&house, &config, "crl_expired").await;
    assert!(!visit_if_let_in(&house, &other).await);
    house.refused_eventually("tls_crl_expired", 1).await;
}

/// Whether CONNECT as `m1` is answered.
async fn visit_if_let_in(house: &House, config: &Arc<ClientConfig>) -> bool {
    let Ok(mut client) = Client::tls(house.broker.mqtts_addr(), config.clone()).await else { return false };
    client.try_send(&connect_packet("m1", 60)).await.is_ok() && client.read().await.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_change_while_meters_stay() {
    let (dir, mut old, mut config) = configuration();
    let mut new = Authority::create(dir.path().join("new")).unwrap();
    let (authorities, lists) = (dir.path().join("authorities"), dir.path().join("lists"));
    for (folder, from) in [(&authorities, old.ca_path()), (&lists, old.crl_path())] {
        fs::create_dir(folder).unwrap();
        fs::copy(from, folder.join("old.pem")).unwrap();
    }
    config.tls.ca_file = authorities.clone();
    config.tls.crl_file = Some(lists.clone());
    let house = House::of(dir, Authority::open(old.dir()).unwrap(), config).await;
    let roots = old.ca_path();
    let issue = |authority: &mut Authority, name: &str| {
        let issued = authority.issue(name, Role::Meter, &IssueOptions::default()).unwrap();
        client_config(&roots, &issued.certificate, &issued.key)
    };
    let (of_old, of_new) = (issue(&mut old, "m1"), issue(&mut new, "m2"));
    let mut one = Client::tls(house.broker.mqtts_addr(), of_old.clone()).await.unwrap();
    one.connect("m1").await;
    assert!(!visit_if_let_in(&house, &of_new).await);
    house.refused_eventually("tls_unknown_issuer", 1).await;

    // The new one comes, first its certificate, then its list: half of it is not taken.
    let reloads = |outcome: &str| house.count("reloads_total", &format!("outcome=\"{outcome}\""));
    fs::copy(new.ca_path(), authorities.join("new.pem")).unwrap();
    eventually(|| reloads("failed") > 0, || house.broker.metrics()).await;
    one.is_quiet().await;
    fs::copy(new.crl_path(), lists.join("new.pem")).unwrap();
    eventually(|| reloads("ok") > 0, || house.broker.metrics()).await;
    let mut two = Client::tls(house.broker.mqtts_addr(), of_new.clone()).await.unwrap();
    two.connect("m2").await;
    one.is_quiet().await;

    // The old one goes, and takes its meters along, their tickets included.
    fs::remove_file(lists.join("old.pem")).unwrap();
    fs::remove_file(authorities.join("old.pem")).unwrap();
    one.is_closed().await;
    assert_eq!(house.count("sessions_ended_total", "reason=\"authority_withdrawn\""), 1);
    assert!(!visit_if_let_in(&house, &of_old).await);
    house.refused_eventually("tls_unknown_issuer", 2).await;
    two.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_certificate_changes_without_dropping_a_session() {
    let house = House::new().await;
    let config = house.credentials("m1", Role::Meter);
    let mut meter = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
    meter.connect("m1").await;
    meter.is_quiet().await;
    let (first, end) = (meter.server_certificate(), house.count("certificate_expiry_timestamp_seconds", ""));
    house.renew_server();
    // The default is ninety days, the new one has thirty.
    let sooner = || house.count("certificate_expiry_timestamp_seconds", "") < end;
    eventually(sooner, || house.broker.metrics()).await;
    let stranger = Client::tls(house.broker.mqtts_addr(), house.credentials("m2", Role::Meter)).await.unwrap();
    assert_ne!(stranger.server_certificate(), first);
    meter.is_quiet().await;
    assert!(visit(&house, &config, "m1").await, "tickets should outlive the broker's certificate");
}

/// A ClientHello with these versions and suites, and nothing that a server of that time would miss.
fn hello(legacy_version: [u8; 2], suites: &[u16]) -> Vec<u8> {
    let with_len = |bytes: Vec<u8>| [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
    let extension = |kind: u16, body: Vec<u8>| [&kind.to_be_bytes()[..], &with_len(body)].concat();
    let extensions = [
        extension(0x000a, with_len(vec![0, 0x17, 0, 0x1d])),
        extension(0x000b, vec![1, 0]),
        extension(0x000d, with_len(vec![4, 3, 8, 4, 4, 1])),
        extension(0x0017, vec![]),
    ]
    .concat();
    let suites = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let body = [&legacy_version[..], &[7; 32], &[0], &with_len(suites), &[1, 0], &with_len(extensions)].concat();
    let handshake = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
    [&[0x16, 3, 1][..], &with_len(handshake)].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_modern_tls_is_spoken() {
    let house = House::new().await;
    assert!(visit_if_let_in(&house, &house.credentials("m1", Role::Meter)).await);
    assert!(visit_if_let_in(&house, &house.older_credentials("m1", Role::Meter)).await);
    const ECDHE_ECDSA_AES128_GCM: u16 = 0xc02b;
    let answer = |bytes: Vec<u8>| {
        let address = house.broker.mqtts_addr();
        async move {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(&bytes).await.unwrap();
            let mut head = [0; 7];
            timeout(PATIENCE, socket.read_exact(&mut head)).await.unwrap().unwrap();
            (head[0], head[5], head[6])
        }
    };
    let (alert, handshake, fatal) = (0x15, 0x16, 2);
    // What follows differs from this in one thing each.
    assert_eq!(answer(hello([3, 3], &[ECDHE_ECDSA_AES128_GCM])).await.0, handshake);
    for (what, version, suite, description) in [
        ("TLS 1.0", [3, 1], ECDHE_ECDSA_AES128_GCM, 70),
        ("TLS 1.1", [3, 2], ECDHE_ECDSA_AES128_GCM, 70),
        ("no authenticated encryption", [3, 3], 0xc009, 40),
        ("no forward secrecy", [3, 3], 0x009c, 40),
        ("RC4", [3, 3], 0x0005, 40),
        ("no encryption", [3, 3], 0xc006, 40),
    ] {
        assert_eq!(answer(hello(version, &[suite])).await, (alert, fatal, description), "{what}");
    }
    house.refused_eventually("tls_too_old", 6).await;
}
