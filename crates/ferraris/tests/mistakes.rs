//! Whatever is typed wrong or is not there: an exit code that says so, and one line on stderr that names it and says what to do.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn ferraris(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferraris"));
    command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

#[track_caller]
fn one_line(output: &Output, code: i32, expected: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "not one line:\n{text}");
    for expected in expected {
        assert!(text.contains(expected), "{expected:?} is not in: {text}");
    }
}

/// A port on which nobody listens: bound once, so that the system does not give it to others soon, and closed.
#[expect(clippy::unwrap_used, reason = "a test's helper")]
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn unknown_command() {
    one_line(&ferraris(&["dmeo"]).output().unwrap(), 2, &["dmeo", "demo", "Usage"]);
}

#[test]
fn no_command() {
    one_line(&ferraris(&[]).output().unwrap(), 2, &["ferraris --help"]);
}

#[test]
fn bad_option_value() {
    one_line(&ferraris(&["demo", "--homes", "many"]).output().unwrap(), 2, &["many", "--homes"]);
}

#[test]
fn frame_that_is_no_hexadecimal_text() {
    one_line(&ferraris(&["decode", "fe01zz"]).output().unwrap(), 2, &["'z' at character 5"]);
}

#[test]
fn damaged_acknowledgement() {
    let output = ferraris(&["decode", "fd0107000000000000000500ceaf0567"]).output().unwrap();
    one_line(&output, 1, &["bytes 12-15", "checksum"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("0000000000000007"), "what can be read is shown");
}

#[test]
fn authority_that_is_not_there() {
    one_line(&ferraris(&["pki", "list", "--dir", "/nowhere/pki"]).output().unwrap(), 2, &["/nowhere/pki", "ferraris pki init"]);
}

#[test]
fn certificate_that_is_not_there() {
    let output = ferraris(&["tail", "--cert", "/nowhere/a.pem", "--key", "/nowhere/a.key"]).output().unwrap();
    one_line(&output, 2, &["/nowhere/a.pem"]);
}

#[test]
fn broker_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let pki = dir.path().join("pki").display().to_string();
    for arguments in [&["pki", "init", "--dir", &pki][..], &["pki", "issue", "alice", "--role", "operator", "--dir", &pki]] {
        assert!(ferraris(arguments).stdout(Stdio::null()).status().unwrap().success());
    }
    let (ca, cert, key) = (format!("{pki}/ca.pem"), format!("{pki}/issued/alice.pem"), format!("{pki}/issued/alice.key"));
    let broker = nobody();
    let output = ferraris(&["tail", "--broker", &broker, "--ca", &ca, "--cert", &cert, "--key", &key]).output().unwrap();
    one_line(&output, 2, &[&broker, "refused", "--broker"]);
}

#[test]
fn kafka_that_is_not_there() {
    let kafka = nobody();
    let gaps = ferraris(&["gaps", "--kafka", &kafka]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let demo = ferraris(&["demo", "--seconds", "5", "--homes", "1", "--kafka", &kafka]).output().unwrap();
    one_line(&demo, 2, &[&kafka, "--kafka"]);
    one_line(&gaps.wait_with_output().unwrap(), 2, &[&kafka, "--kafka"]);
}

#[test]
fn topics_on_a_kafka_that_is_not_there() {
    let kafka = nobody();
    one_line(&ferraris(&["topics", "check", "--kafka", &kafka]).output().unwrap(), 2, &[&kafka]);
}

#[test]
fn a_reader_who_has_seen_enough_is_no_mistake() {
    let mut child = ferraris(&["decode", "--json"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"fd0107000000000000000500ceaf0566").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
