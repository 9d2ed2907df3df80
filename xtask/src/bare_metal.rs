//! The pure crates build for a processor without an operating system: nothing in them can open a file or look at a clock.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use cargo_metadata::MetadataCommand;

/// Crates that the firmware shares.
pub const PURE: &[&str] = &["measure", "meters", "estimator", "wire", "edge-core"];

/// The ESP32-C3: 32 bits, no atomic instructions, no floating-point unit.
const TARGET: &str = "riscv32imc-unknown-none-elf";

/// Unpacks Debian's compiler and the source of its core library into the directory that is its argument.
const SETUP: &str = include_str!("../edge-toolchain.sh");

/// Checks each pure crate on its own, so that none borrows a feature from another's tests; whether all build.
pub fn check() -> anyhow::Result<bool> {
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata")?;
    let compiler = Compiler::find(metadata.workspace_root.as_std_path())?;
    let target_dir = metadata.target_directory.join("bare-metal");
    let mut failed = Vec::new();
    for package in PURE {
        let mut command = compiler.cargo();
        command.args(["check", "--quiet", "--lib", "--no-default-features", "--target", TARGET, "-p", package]);
        command.arg("--target-dir").arg(&target_dir).current_dir(&metadata.workspace_root);
        if !command.status().context("cannot run cargo")?.success() {
            failed.push(*package);
        }
    }
    println!(
        "bare metal: {} of {} pure crates build for {TARGET} ({})",
        PURE.len().saturating_sub(failed.len()),
        PURE.len(),
        compiler.name()
    );
    Ok(failed.is_empty())
}

/// A compiler that has a core library for the target.
enum Compiler {
    /// The pinned toolchain, with the target added by rustup.
    Rustup,
    /// Debian's, unpacked under `build/`; it builds the core library from its packaged source.
    Debian(BTreeMap<String, String>),
}

impl Compiler {
    fn find(root: &Path) -> anyhow::Result<Compiler> {
        if rustup_has_target()? {
            return Ok(Compiler::Rustup);
        }
        if !on_path("apt-get") || !on_path("dpkg-deb") {
            bail!("no core library for {TARGET}: run `rustup target add {TARGET}`");
        }
        let prefix = root.join("build/edge-toolchain");
        let environment = prefix.join("environment");
        std::fs::create_dir_all(&prefix).with_context(|| format!("cannot create {}", prefix.display()))?;
        let lock = File::create(prefix.join("lock"))?;
        lock.lock()?;
        if !environment.exists() {
            eprintln!("unpacking Debian's compiler with the source of its core library into {} (180 MB)", prefix.display());
            let status = Command::new("bash").args(["-c", SETUP, "edge-toolchain"]).arg(&prefix).status().context("cannot run bash")?;
            if !status.success() {
                bail!("could not unpack it; `rustup target add {TARGET}` does as well where static.rust-lang.org is reachable");
            }
        }
        let text = std::fs::read_to_string(&environment).with_context(|| format!("cannot read {}", environment.display()))?;
        Ok(Compiler::Debian(text.lines().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect()))
    }

    fn name(&self) -> &'static str {
        match self {
            Compiler::Rustup => "rustup's core library",
            Compiler::Debian(_) => "core library built from source",
        }
    }

    fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // What a caller set for the host would be wrong for the target.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_BUILD_TARGET"] {
            command.env_remove(variable);
        }
        if let Compiler::Debian(environment) = self {
            // Building the core library is not stable; the variable lets this compiler do it.
            command.envs(environment).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core,alloc");
        }
        command
    }
}

fn rustup_has_target() -> anyhow::Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().context("cannot run rustc")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(sysroot.join("lib/rustlib").join(TARGET).is_dir())
}

fn on_path(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|dir| dir.join(program).is_file())
}
