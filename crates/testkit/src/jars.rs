//! Jars of servers: fetched from Maven Central once per checkout, then kept under `build/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// What a server needs to run.
pub(crate) struct Jars {
    /// What it is.
    pub name: &'static str,
    /// Its folder under `build/`.
    pub folder: &'static str,
    /// What Maven is to fetch.
    pub pom: &'static str,
    /// How much that is, in MB.
    pub megabytes: u32,
}

impl Jars {
    /// Directory of the jars; fetches them if this is the first time.
    pub fn directory(&self) -> anyhow::Result<PathBuf> {
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build").join(self.folder);
        fs::create_dir_all(&build).with_context(|| format!("cannot create {}", build.display()))?;
        let jars = build.join("jars");
        // Whoever comes while another process fetches waits for it here.
        let lock = build.join("lock");
        let lock = File::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
        lock.lock().with_context(|| format!("cannot lock build/{}", self.folder))?;
        let pom = build.join("pom.xml");
        let complete = jars.is_dir() && fs::read_to_string(&pom).is_ok_and(|fetched_for| fetched_for == self.pom);
        if !complete {
            self.fetch(&build, &jars)?;
            // Last of all, so that a fetch that breaks off is begun again.
            fs::write(&pom, self.pom)?;
        }
        Ok(jars)
    }

    fn fetch(&self, build: &Path, jars: &Path) -> anyhow::Result<()> {
        let Self { name, megabytes, .. } = self;
        eprintln!("fetching {name} from Maven Central into {} ({megabytes} MB)", build.display());
        for leftover in [jars.to_owned(), build.join("pom.xml")] {
            match fs::metadata(&leftover) {
                Ok(it) if it.is_dir() => fs::remove_dir_all(&leftover)?,
                Ok(_) => fs::remove_file(&leftover)?,
                Err(_) => {}
            }
        }
        let scratch = tempfile::tempdir_in(build)?;
        fs::write(scratch.path().join("pom.xml"), self.pom)?;
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
            .context("cannot run mvn: install maven and a Java 17 runtime (`./dev test` does on Debian)")?;
        if !output.status.success() {
            bail!("mvn could not fetch {name}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        }
        fs::rename(scratch.path().join("jars"), jars).context("mvn fetched nothing")
    }

    /// A Java with all of them.
    pub fn java(&self) -> anyhow::Result<Command> {
        let mut command = Command::new("java");
        command.arg("-cp").arg(self.directory()?.join("*"));
        Ok(command)
    }
}
