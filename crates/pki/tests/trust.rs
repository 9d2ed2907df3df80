//! What the certificates are worth to rustls, which is what every Ferraris program asks.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::Path;
use std::sync::Arc;

use pki::{Authority, IssueOptions, Role};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection};

#[test]
fn a_meter_is_accepted_until_it_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let mut authority = Authority::create(dir.path().join("ca")).unwrap();
    let server = server(&mut authority, &["broker.example"]);
    let meter = authority.issue("M0001", Role::Meter, &IssueOptions::default()).unwrap();
    let other = authority.issue("M0002", Role::Meter, &IssueOptions::default()).unwrap();
    let client = |issued: &pki::Issued| client(&authority, Some((&issued.certificate, &issued.key)));
    let (meter, other) = (client(&meter), client(&other));

    let before = server_config(&authority, &server);
    assert_eq!(handshake(&before, &meter, "broker.example"), Ok(()));

    assert_eq!(authority.revoke("M0001").unwrap().len(), 1);
    let after = server_config(&authority, &server);
    assert_eq!(handshake(&after, &meter, "broker.example"), Err(Error::InvalidCertificate(CertificateError::Revoked)));
    assert_eq!(handshake(&after, &other, "broker.example"), Ok(()));
}

#[test]
fn a_server_is_accepted_under_its_hosts_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut authority = Authority::create(dir.path()).unwrap();
    let server = server(&mut authority, &["broker.example", "127.0.0.1"]);
    let operator = authority.issue("control-room", Role::Operator, &IssueOptions::default()).unwrap();
    let client = client(&authority, Some((&operator.certificate, &operator.key)));
    let server = server_config(&authority, &server);

    assert_eq!(handshake(&server, &client, "broker.example"), Ok(()));
    assert_eq!(handshake(&server, &client, "127.0.0.1"), Ok(()));
    for wrong in ["other.example", "127.0.0.2"] {
        let refused = handshake(&server, &client, wrong);
        let Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) = refused else {
            panic!("{wrong}: {refused:?}");
        };
    }
}

#[test]
fn nobody_without_a_certificate_of_this_authority_and_role_gets_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut ours = Authority::create(dir.path().join("ours")).unwrap();
    let mut theirs = Authority::create(dir.path().join("theirs")).unwrap();
    let server = server(&mut ours, &["localhost"]);
    let config = server_config(&ours, &server);

    assert_eq!(handshake(&config, &client(&ours, None), "localhost"), Err(Error::NoCertificatesPresented));

    let stranger = theirs.issue("M0001", Role::Meter, &IssueOptions::default()).unwrap();
    let stranger = client(&ours, Some((&stranger.certificate, &stranger.key)));
    assert_eq!(handshake(&config, &stranger, "localhost"), Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)));

    let server_as_client = client(&ours, Some((&server.certificate, &server.key)));
    let refused = handshake(&config, &server_as_client, "localhost");
    let Err(Error::InvalidCertificate(CertificateError::InvalidPurposeContext { .. })) = refused else {
        panic!("a server's certificate opened a client's session: {refused:?}");
    };
}

fn server(authority: &mut Authority, hosts: &[&str]) -> pki::Issued {
    let options = IssueOptions { hosts: hosts.iter().map(ToString::to_string).collect(), ..IssueOptions::default() };
    authority.issue("broker-1", Role::Server, &options).unwrap()
}

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca_path()).unwrap()).unwrap();
    Arc::new(roots)
}

fn server_config(authority: &Authority, server: &pki::Issued) -> Arc<ServerConfig> {
    let list = CertificateRevocationListDer::from_pem_file(authority.crl_path()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authority), provider.clone()).with_crls([list]).build().unwrap();
    let (chain, key) = identity(&server.certificate, &server.key);
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap())
}

fn client(authority: &Authority, identity_files: Option<(&Path, &Path)>) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots(authority));
    Arc::new(match identity_files {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let (chain, key) = identity(certificate, key);
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

fn identity(certificate: &Path, key: &Path) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    (vec![CertificateDer::from_pem_file(certificate).unwrap()], PrivateKeyDer::from_pem_file(key).unwrap())
}

/// A handshake in memory; the error of whoever refuses first.
fn handshake(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>, host: &str) -> Result<(), Error> {
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.clone(), host).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    loop {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let sent = bytes.len();
        let mut unread = bytes.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        if sent == 0 && bytes.is_empty() {
            assert!(!client.is_handshaking() && !server.is_handshaking(), "the handshake stalled");
            return Ok(());
        }
        let mut unread = bytes.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets()?;
        }
    }
}
