//! The main job: the whole system in one process loses and doubles nothing although broker and processor are killed halfway.

use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn nothing_is_lost_or_doubled_over_a_restart() {
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ferraris"))
        .args(["demo", "--seconds", "12", "--homes", "3", "--seed", "7", "--json"])
        .env_remove("RUST_LOG")
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "exit code {:?}\n{text}\n{errors}", output.status.code());

    let summary: Value = serde_json::from_str(text.lines().last().unwrap_or_default()).expect("the last line is JSON");
    let number = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {summary}"));
    assert!(number("produced") > 0, "{summary}");
    assert_eq!(number("committed"), number("produced"), "{summary}");
    assert_eq!((number("lost"), number("doubled"), number("dead_lettered")), (0, 0, 0), "{summary}");
    assert!(number("age_p50_ms") <= number("age_p99_ms"), "{summary}");
    assert_eq!(summary["kafka"], "mock");

    for act in ["killed the broker", "killed the processor", "both are back", "mosquitto_sub", "kcat"] {
        assert!(text.contains(act), "{act:?} is not in:\n{text}");
    }
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
