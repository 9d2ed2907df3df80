//! The commands of the documents work: every block that begins with "```sh run" is run as it stands.
//!
//! The blocks of one document are one script. It runs in a fresh directory, with our programs on PATH as if they were installed.

use std::process::Command;

use anyhow::Context;
use cargo_metadata::MetadataCommand;

use crate::tree::Tree;

const FENCE: &str = "```";
const MARKED: &str = "```sh run";

/// Runs the examples of every document; whether all succeed.
pub fn check() -> anyhow::Result<bool> {
    let tree = Tree::read()?;
    let documents = tree.files.iter().filter(|(path, _)| path.ends_with(".md"));
    let scripts: Vec<(&String, String)> = documents.map(|(path, text)| (path, script(text))).filter(|(_, it)| !it.is_empty()).collect();
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata")?;
    let programs = metadata.target_directory.join("debug");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut failed: usize = 0;
    for (document, script) in &scripts {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script]).current_dir(dir.path()).env("PATH", format!("{programs}:{path}"));
        let output = command.output().context("cannot run bash")?;
        if !output.status.success() {
            failed = failed.saturating_add(1);
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            eprintln!("{document}: an example ended with {}:\n{out}{err}", output.status);
        }
    }
    println!("examples: {} documents with commands, {failed} failed", scripts.len());
    Ok(failed == 0)
}

/// The marked blocks of a document, one after the other.
fn script(text: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with(FENCE) {
            inside = !inside && line.trim_end() == MARKED;
        } else if inside {
            script.push_str(line);
            script.push('\n');
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::script;

    #[test]
    fn only_marked_blocks_are_run() {
        let text = "a\n```sh\nrm -rf x\n```\n```sh run\nferraris --help\n```\ntext\n```sh run\ntrue\n```\n```\nno\n```\n";
        assert_eq!(script(text), "ferraris --help\ntrue\n");
    }
}
