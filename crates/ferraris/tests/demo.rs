//! The main job: the whole system in one process loses and doubles nothing although broker and processor are killed halfway.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

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
    let thief = &summary["thief"];
    assert!(thief["agrees"] == true && thief["named"] == thief["thief"] && thief["false_alarms"] == 0, "{summary}");
    let prepaid = &summary["prepaid"];
    assert!(prepaid["account"] == "flats.3" && prepaid["agrees"] == true && prepaid["closed"] == 5, "{summary}");
    assert!(prepaid["warned_s"].as_f64().unwrap() < prepaid["cut_s"].as_f64().unwrap(), "a warning comes first: {summary}");
    assert!(text.contains("account flats.3: cut off"), "{text}");
    let alert = format!("ALERT voltage_drop, meter {}", thief["thief"].as_str().unwrap());
    assert!(text.contains(&alert) && text.contains("simulated day"), "{alert:?} is not in:\n{text}");

    for act in ["killed the broker", "killed the processor", "both are back", "mosquitto_sub", "kcat"] {
        assert!(text.contains(act), "{act:?} is not in:\n{text}");
    }
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// The arguments of a hint for our own program; its words hold no blanks here.
fn hint<'a>(lines: &'a [String], command: &str) -> Vec<&'a str> {
    let line = lines.iter().find(|line| line.contains(&format!(" {command} "))).unwrap_or_else(|| panic!("no hint for {command}"));
    line.split_whitespace().skip(1).collect()
}

/// Ended with the test, whatever becomes of it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn its_own_hints_work_while_it_runs() {
    let temporary = tempfile::tempdir().unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_ferraris"))
        .args(["demo", "--seconds", "600", "--homes", "2", "--seed", "9"])
        .env_remove("RUST_LOG")
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut demo = Ended(demo);
    let mut output = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut hints = Vec::new();
    while !hints.iter().any(|line: &String| line.contains(" gaps --kafka")) {
        hints.push(output.next().expect("the demo prints its hints before it ends"));
    }

    let tail =
        Command::new(env!("CARGO_BIN_EXE_ferraris")).args(hint(&hints, "tail")).arg("--json").stdout(Stdio::piped()).spawn().unwrap();
    let mut tail = Ended(tail);
    let live = BufReader::new(tail.0.stdout.take().unwrap()).lines().map(Result::unwrap).find(|line| line.contains("\"live/home-"));
    drop(tail);
    let live: Value = serde_json::from_str(&live.expect("a live value comes")).unwrap();
    assert!((200.0..260.0).contains(&live["value"]["voltage_v"].as_f64().unwrap()), "{live}");

    let gaps = Command::new(env!("CARGO_BIN_EXE_ferraris")).args(hint(&hints, "gaps")).arg("--json").output().unwrap();
    let sums: Value = serde_json::from_str(String::from_utf8_lossy(&gaps.stdout).lines().last().unwrap_or_default()).unwrap();
    assert_eq!((gaps.status.code(), sums["missing"].as_u64(), sums["doubled"].as_u64()), (Some(0), Some(0), Some(0)), "{sums}");
    assert!(sums["records"].as_u64() > Some(0), "{sums}");

    // Somebody has seen enough: it counts at once.
    assert!(Command::new("kill").args(["-INT", &demo.0.id().to_string()]).status().unwrap().success());
    let rest: Vec<String> = output.collect();
    assert!(demo.0.wait().unwrap().success(), "{}", rest.join("\n"));
}
