//! `ferraris calibrate` on a simulated module at a pseudo-terminal, asked and told, and the paper's own numbers.
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use edge_agent::calibration::File;
use fleet::pzem_module::{PzemLine, Source, captured};

fn ferraris(arguments: &[&str], answers: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferraris"));
    command.arg("calibrate").args(arguments).env_remove("RUST_LOG");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    // Who needs no answers may have ended already.
    let _ = child.stdin.take().expect("piped").write_all(answers.as_bytes());
    child.wait_with_output().expect("ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A module that shows 242.7 V and 13.397 A or so for ever.
fn module() -> PzemLine {
    PzemLine::start([(1, Box::new(|| captured().first().copied()) as Source)]).expect("a terminal")
}

#[test]
fn a_technician_is_walked_through_it_and_the_file_counts_its_versions() {
    let (line, folder) = (module(), tempfile::tempdir().expect("a folder"));
    let (port, out) = (line.path().display().to_string(), folder.path().join("c.toml"));
    let out_text = out.display().to_string();
    let arguments = ["module", "--port", &port, "--out", &out_text, "--readings", "2"];
    let walked = ferraris(&arguments, "Reference 7\n240,5\n0\ny\n");
    let shown = text(&walked.stdout);
    assert_eq!(walked.status.code(), Some(0), "{shown}{}", text(&walked.stderr));
    assert!(shown.contains("+0.91 %") && shown.contains("0.990935") && shown.contains("version 1 is in"), "{shown}");
    let file = File::load(&out).expect("a file");
    assert_eq!((file.version, file.instrument.as_str(), file.current_gain), (1, "Reference 7", 1.0));
    file.calibration(&out).expect("the agent takes it");

    let current = f64::from(u32::from(captured()[0][1]) | u32::from(captured()[0][2]) << 16) / 1_000.0;
    let reference = (current * 1.02).to_string();
    let given = ["--instrument", "Reference 8", "--reference-voltage", "240.5", "--reference-current", &reference, "--yes"];
    let told = ferraris(&[&arguments[..], &given[..]].concat(), "");
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let file = File::load(&out).expect("a file");
    assert_eq!(file.version, 2);
    assert!((file.current_gain - 1.02).abs() < 1e-9, "{file:?}");

    let refused = ferraris(&arguments, "Reference 7\n240.5\n0\nn\n");
    assert!(text(&refused.stdout).contains("nothing was written") && File::load(&out).expect("a file").version == 2);
}

#[test]
fn mistakes_are_told_in_one_line() {
    let (line, folder) = (module(), tempfile::tempdir().expect("a folder"));
    let (port, out) = (line.path().display().to_string(), folder.path().join("c.toml").display().to_string());
    let base = ["module", "--port", &port, "--out", &out, "--readings", "1", "--instrument", "x", "--yes"];
    for (more, code, expected) in [
        (&["--reference-voltage", "115", "--reference-current", "0"][..], 1, "too far apart"),
        (&["--reference-voltage", "240"], 2, "give --reference-current"),
        (&["--reference-voltage=-1", "--reference-current", "0"], 2, "--reference-voltage"),
        (&["--reference-voltage", "240", "--reference-current", "0", "--address", "9"], 1, "ferraris doctor"),
        (&["--reference-voltage", "240", "--reference-current", "0", "--address", "0"], 2, "use 1 to 247"),
    ] {
        let output = ferraris(&[&base[..], more].concat(), "");
        let complaint = text(&output.stderr);
        assert_eq!((output.status.code(), complaint.lines().count()), (Some(code), 1), "{complaint}");
        assert!(complaint.contains(expected), "{complaint}");
    }
    assert!(!folder.path().join("c.toml").exists());
}

#[test]
fn the_papers_registers() {
    let front_end = |arguments: &str| {
        let arguments: Vec<&str> = std::iter::once("front-end").chain(arguments.split_whitespace()).collect();
        let output = ferraris(&arguments, "");
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, shown) =
        front_end("--reference-counts 370000 --counts 310000 --load-w 105 --seconds 8 --wh-per-count 6e-5 --energy-counts 3000");
    assert_eq!(code, Some(0));
    assert!(shown.contains("current_gain = 0x0018c631") && shown.contains("power_gain = 0x0025ee40"), "{shown}");
    // Each line may stand in agent.toml as it is.
    let channel: edge_agent::config::Channel = toml::from_str(&format!("number = 0\n{shown}")).expect("keys of a channel");
    assert_eq!((channel.current_gain, channel.power_gain), (Some(0x18_c631), Some(0x25_ee40)));
    let (code, shown) = front_end("--load-w 105 --seconds 8 --energy-counts 3000");
    assert_eq!((code, shown.starts_with("wh_per_count = 7.77777777777777")), (Some(0), true), "{shown}");
    let (code, shown) = front_end("--active-counts 3000 --reactive-counts 0 --angle-deg 0 --frequency-hz 60");
    assert_eq!((code, shown.contains("phase = 0x00401235")), (Some(0), true), "{shown}");
    assert_eq!(front_end("--reference-counts 3 --counts 1").0, Some(1), "no register holds a gain of 3");
    assert_eq!(front_end("").0, Some(2));
}
