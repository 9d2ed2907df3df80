//! Instructions of a piece of work, counted by callgrind, beside their committed [`Budget`].
//!
//! A time depends on the machine and on who else is on it; a count does not. A bench that can do its work as often as it is told, and
//! nothing else ("walk"), has itself counted: [`of_a_walk`] is the difference between walking twice and walking once, without the start.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;

/// A committed file, `budget.toml`.
#[derive(Debug)]
pub struct Budget {
    path: PathBuf,
    file: File,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// How far a count may exceed what was counted when it was committed, in %.
    slack_percent: f64,
    /// Instructions by figure.
    instructions: BTreeMap<String, f64>,
}

impl Budget {
    /// Reads a file with `slack_percent` and a table `[instructions]`.
    pub fn read(path: impl AsRef<Path>) -> anyhow::Result<Self> {
        let path = path.as_ref().to_owned();
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = toml::from_str(&text).with_context(|| format!("{} is no budget", path.display()))?;
        Ok(Self { path, file })
    }

    /// What a figure may come to, slack included. Says on standard error what to do about a `count` above it.
    ///
    /// `None` on processors other than x86-64: their instructions are others.
    pub fn most(&self, name: &str, count: f64) -> anyhow::Result<Option<f64>> {
        let path = self.path.display();
        let budget = self.file.instructions.get(name).with_context(|| format!("{path}: nothing for '{name}', which takes {count:.0}"))?;
        let most = (budget * (1.0 + self.file.slack_percent / 100.0)).round();
        let bound = cfg!(target_arch = "x86_64").then_some(most);
        if bound.is_some() && count > most {
            let slack = self.file.slack_percent;
            eprintln!("{name}: {count:.0}, more than {budget} and {slack} %. If it must be, write it into {path} and why into the commit.");
        }
        Ok(bound)
    }
}

/// Instructions of one walk of this program: `arguments`, followed by how often to walk, make it walk and do nothing else.
pub fn of_a_walk(arguments: &[&str]) -> anyhow::Result<f64> {
    let walks = |times: &str| {
        let arguments: Vec<_> = arguments.iter().copied().chain([times]).collect();
        count(&std::env::current_exe()?, &arguments)
    };
    Ok(walks("2")? - walks("1")?)
}

/// Instructions that a program takes from its start to its end.
fn count(program: &Path, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<f64> {
    let out = tempfile::NamedTempFile::new()?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--error-exitcode=1"]).arg(format!("--callgrind-out-file={}", out.path().display()));
    valgrind.arg(program).args(arguments);
    // The C library picks other copy routines on other processors.
    valgrind.env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM");
    let ended = valgrind.output().context("cannot run valgrind; as root: apt-get install valgrind")?;
    ensure!(ended.status.success(), "valgrind ended with {}: {}", ended.status, String::from_utf8_lossy(&ended.stderr));
    let text = std::fs::read_to_string(out.path())?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: ")).context("callgrind counted nothing")?;
    Ok(totals.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(text: &str) -> anyhow::Result<Budget> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        Budget::read(file.path())
    }

    #[test]
    fn the_bound_has_the_slack_in_it() {
        let it = budget("slack_percent = 2.0\n[instructions]\na = 1000\n").unwrap();
        assert_eq!(it.most("a", 1_021.0).unwrap(), cfg!(target_arch = "x86_64").then_some(1_020.0));
    }

    #[test]
    fn a_figure_without_a_budget_is_told_with_its_count() {
        let error = budget("slack_percent = 2.0\n[instructions]\n").unwrap().most("b", 7.0).unwrap_err();
        assert!(error.to_string().ends_with("nothing for 'b', which takes 7"), "{error}");
        assert!(budget("slack = 2.0\n[instructions]\n").is_err());
    }
}
