//! Certificates taken back: refused at the door and cut inside.

use std::fs;

use broker::config::CrlExpired;
use pki::{IssueOptions, Role};

use crate::support::{Client, House, connect_packet, eventually};

/// A certificate that was taken back gets in no more, whether the client shows it or resumes an earlier session.
async fn stays_out(house: &House, config: &std::sync::Arc<rustls::ClientConfig>, name: &str) {
    if let Ok(mut client) = Client::tls(house.broker.mqtts_addr(), config.clone()).await {
        let _ = client.try_send(&connect_packet(name, 60)).await;
        client.is_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_cut_and_stays_out() {
    let house = House::with(|config| config.tls.watch_ms = 3_600_000).await;
    let (thief, lost) = (house.credentials("thief", Role::Meter), house.credentials("p9", Role::Service));
    let mut honest = house.meter("honest").await;
    let mut sessions = Vec::new();
    for (name, config) in [("thief", &thief), ("p9", &lost)] {
        let mut client = Client::tls(house.broker.mqtts_addr(), config.clone()).await.unwrap();
        client.connect(name).await;
        house.revoke(name);
        client.is_quiet().await;
        sessions.push(client);
    }
    house.broker.reload().await.unwrap();
    for client in &mut sessions {
        client.is_closed().await;
    }
    assert_eq!(house.count("sessions_ended_total", "reason=\"revoked\""), 2);
    stays_out(&house, &thief, "thief").await;
    stays_out(&house, &lost, "p9").await;
    assert!(house.refused("tls_revoked") + house.refused("revoked") >= 2, "{}", house.broker.metrics());
    honest.is_quiet().await;
    // With a new certificate it is welcome again.
    house.meter("thief").await.is_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_watched_and_the_last_good_one_stays() {
    let house = House::new().await;
    let thief = house.credentials("thief", Role::Meter);
    let mut inside = Client::tls(house.broker.mqtts_addr(), thief.clone()).await.unwrap();
    inside.connect("thief").await;
    house.revoke("thief");
    inside.is_closed().await;
    stays_out(&house, &thief, "thief").await;

    let list = house.config.tls.crl_file.clone().unwrap();
    let good = fs::read(&list).unwrap();
    let reloads = |outcome: &str| house.count("reloads_total", &format!("outcome=\"{outcome}\""));
    for (number, bad) in [&b"garbage"[..], b"", good.get(..good.len() / 2).unwrap()].into_iter().enumerate() {
        fs::write(&list, bad).unwrap();
        eventually(|| reloads("failed") > number as u64, || house.broker.metrics()).await;
        stays_out(&house, &thief, "thief").await;
        house.meter("honest").await.is_quiet().await;
    }
    // A list of another authority is none of ours.
    let other = tempfile::tempdir().unwrap();
    let other = pki::Authority::create(other.path().join("pki")).unwrap();
    fs::copy(other.crl_path(), &list).unwrap();
    let error = house.broker.reload().await.unwrap_err().to_string();
    assert!(error.contains("no revocation list signed by the authority"), "{error}");
    stays_out(&house, &thief, "thief").await;
    fs::write(&list, &good).unwrap();
    house.broker.reload().await.unwrap();
    stays_out(&house, &thief, "thief").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_nobody_is_revoked_and_two_authorities_need_two() {
    let (dir, mut authority, mut config) = crate::support::configuration();
    config.tls.crl_file = None;
    config.tls.crl_expired = CrlExpired::Accept;
    let issued = authority.issue("m1", Role::Meter, &IssueOptions::default()).unwrap();
    authority.revoke("m1").unwrap();
    let client = crate::support::client_config(&authority.ca_path(), &issued.certificate, &issued.key);
    let broker = broker::start(config.clone()).await.unwrap();
    let mut meter = Client::tls(broker.mqtts_addr(), client).await.unwrap();
    meter.connect("m1").await;
    broker.shutdown().await;

    let mut second = pki::Authority::create(dir.path().join("second")).unwrap();
    let both = dir.path().join("both.pem");
    fs::write(&both, [fs::read(authority.ca_path()).unwrap(), fs::read(second.ca_path()).unwrap()].concat()).unwrap();
    config.tls.ca_file = both;
    config.tls.crl_file = Some(authority.crl_path());
    let error = broker::start(config.clone()).await.err().unwrap().to_string();
    assert!(error.contains("no revocation list signed by the authority"), "{error}");
    let lists = dir.path().join("lists.pem");
    fs::write(&lists, [fs::read(authority.crl_path()).unwrap(), fs::read(second.crl_path()).unwrap()].concat()).unwrap();
    config.tls.crl_file = Some(lists);
    let broker = broker::start(config).await.unwrap();
    let issued = second.issue("m2", Role::Meter, &IssueOptions::default()).unwrap();
    let client = crate::support::client_config(&authority.ca_path(), &issued.certificate, &issued.key);
    let mut meter = Client::tls(broker.mqtts_addr(), client).await.unwrap();
    meter.connect("m2").await;
    broker.shutdown().await;
}
