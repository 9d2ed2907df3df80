//! Instructions a step, counted, beside their committed budget.
//!
//! A time depends on the machine and on who else is on it; a count does not. callgrind counts the instructions of this program walking through
//! some hours of samples once and twice: the difference is the steps'.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;

use estimator::Real;
use serde::Deserialize;

use crate::meter::{Meter, NOISY, PZEM};
use crate::table::{Bound, Figure};

/// Given to this program by itself, with a precision, a meter and how often: only walk.
pub const WALK: &str = "--walk";
/// Two hours: longer ones give the same count within 1 %.
const STEPS: usize = 7200;

/// The committed file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    /// How far a count may exceed what was counted when it was committed, in %.
    slack_percent: f64,
    /// Instructions a step, by figure.
    instructions: BTreeMap<String, f64>,
}

impl Budget {
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/budget.toml");

    fn read() -> Self {
        toml::from_str(&std::fs::read_to_string(Self::FILE).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", Self::FILE))
    }

    fn figure(&self, name: &str, count: f64) -> Figure {
        let budget = self.instructions.get(name).unwrap_or_else(|| panic!("{}: nothing for '{name}', which takes {count:.0}", Self::FILE));
        let most = (budget * (1.0 + self.slack_percent / 100.0)).round();
        // Instructions of another processor are others.
        let bound = cfg!(target_arch = "x86_64").then_some(Bound::AtMost(most));
        if bound.is_some() && count > most {
            eprintln!(
                "{name}: {count:.0}, more than {budget} and {} %. If it must be, write it into {} and why into the commit.",
                self.slack_percent,
                Self::FILE
            );
        }
        Figure::new(name, count.round(), "count", bound)
    }
}

fn walk<F: Real>(meter: &Meter, times: usize) {
    let samples = meter.samples::<F>(STEPS);
    for _ in 0..times {
        let mut estimator = meter.estimator::<F>();
        for sample in &samples {
            black_box(&estimator.step(black_box(F::ONE), black_box(sample)));
        }
    }
}

/// What callgrind watches, given [`WALK`]'s arguments.
pub fn walk_in(precision: &str, meter: &str, times: &str) {
    let meter = [NOISY, PZEM].into_iter().find(|it| it.name == meter).unwrap();
    let times = times.parse().unwrap();
    match precision {
        "f32" => walk::<f32>(&meter, times),
        "f64" => walk::<f64>(&meter, times),
        _ => panic!("there is no precision {precision}"),
    }
}

/// Instructions that this program takes for so many walks.
fn count(precision: &str, meter: &Meter, times: usize) -> f64 {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("callgrind.out");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--error-exitcode=1"]).arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(std::env::current_exe().unwrap()).args([WALK, precision, meter.name, &times.to_string()]);
    // The C library picks other copy routines on other processors.
    valgrind.env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM");
    let ended = valgrind.output().unwrap_or_else(|error| panic!("valgrind: {error}; as root: apt-get install valgrind"));
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let text = std::fs::read_to_string(&out).unwrap();
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    totals.trim().parse().unwrap()
}

/// Instructions a step beside their budget.
pub fn figures() -> Vec<Figure> {
    let budget = Budget::read();
    let figure = |(precision, meter): (&str, Meter)| {
        let steps = count(precision, &meter, 2) - count(precision, &meter, 1);
        budget.figure(&format!("instructions {precision}, {}", meter.name), steps / STEPS as f64)
    };
    [("f32", NOISY), ("f32", PZEM), ("f64", NOISY)].map(figure).into()
}
