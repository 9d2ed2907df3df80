//! The program itself: its file, its signals, its last words.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use pki::{IssueOptions, Role};

use crate::support::{Client, client_config, configuration};

/// Killed with the test, whatever becomes of it.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program at work.
pub struct Program {
    pub child: Killed,
    pub log: Lines<BufReader<ChildStderr>>,
    /// Where clients connect.
    pub mqtts: SocketAddr,
    /// Where its health is.
    pub admin: SocketAddr,
}

impl Program {
    /// Runs it with the certificates of `dir` and with `extra` lines of configuration, and waits until it listens.
    pub fn start(dir: &Path, extra: &str) -> Self {
        let path = file(dir, extra);
        let mut child = Killed(program(dir, &["--config", path.to_str().unwrap(), "--log", "json"]).spawn().unwrap());
        let mut log = BufReader::new(child.0.stderr.take().unwrap()).lines();
        let listening = log.by_ref().map(Result::unwrap).find(|line| line.contains("listening")).expect("it does not listen");
        let listening: serde_json::Value = serde_json::from_str(&listening).unwrap();
        let address = |name: &str| listening["fields"][name].as_str().unwrap().parse().unwrap();
        Self { child, log, mqtts: address("mqtts"), admin: address("admin") }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.0.id()
    }
}

fn file(dir: &Path, extra: &str) -> std::path::PathBuf {
    let text = format!(
        "[listen]\nmqtts = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\n[tls]\nca_file = 'pki/ca.pem'\ncertificate_file = \
         'pki/issued/broker.pem'\nkey_file = 'pki/issued/broker.key'\ncrl_file = 'pki/crl.pem'\nwatch_ms = 3600000\n{extra}"
    );
    let path = dir.join("broker.toml");
    fs::write(&path, text).unwrap();
    path
}

fn program(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command.current_dir(dir).args(arguments).env_remove("RUST_LOG").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn signal(name: &str, program: &Program) {
    assert!(Command::new("kill").args([name, &program.id().to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_reload_and_stop() {
    let (dir, mut authority, _) = configuration();
    let mut program = Program::start(dir.path(), "");
    let issued = authority.issue("m1", Role::Meter, &IssueOptions::default()).unwrap();
    let config = client_config(&authority.ca_path(), &issued.certificate, &issued.key);
    let mut meter = Client::tls(program.mqtts, config).await.unwrap();
    meter.connect("m1").await;
    authority.revoke("m1").unwrap();
    meter.is_quiet().await;
    signal("-HUP", &program);
    meter.is_closed().await;

    signal("-TERM", &program);
    assert!(program.log.any(|line| line.unwrap().contains("stopping")));
    assert!(program.child.0.wait().unwrap().success());
}

#[test]
fn the_printed_configuration_is_the_reference() {
    let dir = tempfile::tempdir().unwrap();
    let output = program(dir.path(), &["--print-config"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), broker::config::REFERENCE);
}

#[test]
fn what_is_wrong_is_one_line_and_a_status() {
    let (dir, _authority, _) = configuration();
    let last_words = |arguments: &[&str]| {
        let Output { status, stderr, .. } = program(dir.path(), arguments).output().unwrap();
        assert_eq!(status.code(), Some(1));
        let text = String::from_utf8(stderr).unwrap();
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
        text
    };
    assert!(last_words(&[]).starts_with("broker: can't read broker.toml: "));
    file(dir.path(), "");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = last_words(&["--mqtts", &address]);
    assert!(text.starts_with(&format!("broker: can't listen on {address}")), "{text}");
    file(dir.path(), "[limits]\nhandshake = 3\n");
    let text = last_words(&[]);
    assert!(text.contains("broker.toml") && text.contains("handshake"), "{text}");
}
