//! Kafka's jars: fetched from Maven Central once per checkout, then kept under `build/kafka`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

const POM: &str = include_str!("pom.xml");

/// Directory of the jars; fetches them if this is the first time (54 MB, about ten seconds).
pub(super) fn directory() -> anyhow::Result<PathBuf> {
    let build = build_directory();
    fs::create_dir_all(&build).with_context(|| format!("cannot create {}", build.display()))?;
    let jars = build.join("jars");
    // Whoever comes while another process fetches waits for it here.
    let lock = build.join("lock");
    let lock = File::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
    lock.lock().context("cannot lock build/kafka")?;
    let pom = build.join("pom.xml");
    let complete = jars.is_dir() && fs::read_to_string(&pom).is_ok_and(|fetched_for| fetched_for == POM);
    if !complete {
        fetch(&build, &jars)?;
        // Last of all, so that a fetch that breaks off is begun again.
        fs::write(&pom, POM)?;
    }
    Ok(jars)
}

/// Build folder of the checkout that this crate was compiled in.
fn build_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/kafka")
}

fn fetch(build: &Path, jars: &Path) -> anyhow::Result<()> {
    eprintln!("fetching Apache Kafka from Maven Central into {} (54 MB)", build.display());
    for leftover in [jars.to_owned(), build.join("pom.xml")] {
        match fs::metadata(&leftover) {
            Ok(it) if it.is_dir() => fs::remove_dir_all(&leftover)?,
            Ok(_) => fs::remove_file(&leftover)?,
            Err(_) => {}
        }
    }
    let scratch = tempfile::tempdir_in(build)?;
    fs::write(scratch.path().join("pom.xml"), POM)?;
    let output = Command::new("mvn")
        .args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            "-DoutputDirectory=jars",
            "-Dmaven.repo.local=repository",
        ])
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .output()
        .context("cannot run mvn: install maven and a Java 17 runtime (`./dev test` does on Debian), or set FERRARIS_KAFKA=host:port")?;
    if !output.status.success() {
        bail!("mvn could not fetch Kafka: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    fs::rename(scratch.path().join("jars"), jars).context("mvn fetched nothing")
}
