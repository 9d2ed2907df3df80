//! The checkout as the rules see it: its text files and what cargo knows of its packages.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, ensure};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Everything the rules look at. Paths are relative to the top of the checkout, with `/`.
#[derive(Default)]
pub struct Tree {
    /// Where the checkout lies.
    pub root: String,
    /// Text files by path.
    pub files: BTreeMap<String, String>,
    /// Every path, binary files too.
    pub paths: Vec<String>,
    /// Packages of the workspace.
    pub packages: Vec<Package>,
}

/// A package of the workspace.
pub struct Package {
    pub name: String,
    /// Path of its Cargo.toml.
    pub manifest: String,
    /// Roots of its libraries, programs, tests, benches, examples and build script.
    pub roots: Vec<String>,
    /// Packages of the workspace it names, and whether for its tests only.
    pub dependencies: Vec<(String, Use)>,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    Product,
    Tests,
}

/// An arrow between two packages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: String,
    pub to: String,
    pub used: Use,
}

impl Tree {
    /// Reads the checkout around the current directory.
    pub fn read() -> anyhow::Result<Tree> {
        let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata")?;
        let root = metadata.workspace_root.to_string();
        let paths = listed(&root)?;
        let text = |path: &String| Some((path.clone(), std::fs::read_to_string(format!("{root}/{path}")).ok()?));
        let files = paths.iter().filter_map(text).collect();
        Ok(Tree { packages: packages(&metadata), files, paths, root })
    }

    /// All arrows between our packages.
    pub fn edges(&self) -> Vec<Edge> {
        let of = |package: &Package| {
            let edge = |(to, used): &(String, Use)| Edge { from: package.name.clone(), to: to.clone(), used: *used };
            package.dependencies.iter().map(edge).collect::<Vec<_>>()
        };
        self.packages.iter().flat_map(of).collect()
    }

    /// Rust files.
    pub fn rust(&self) -> impl Iterator<Item = (&String, &String)> {
        self.files.iter().filter(|(path, _)| path.ends_with(".rs"))
    }
}

/// What is under version control or would be with the next `git add`.
fn listed(root: &str) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root).output();
    let output = output.context("cannot run git")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let mut paths: Vec<String> = output.stdout.split(|byte| *byte == 0).map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    paths.retain(|path| !path.is_empty() && std::path::Path::new(root).join(path).exists());
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn packages(metadata: &Metadata) -> Vec<Package> {
    let relative = |path: &cargo_metadata::camino::Utf8Path| path.strip_prefix(&metadata.workspace_root).unwrap_or(path).to_string();
    let ours = metadata.workspace_packages();
    let is_ours = |name: &str| ours.iter().any(|package| package.name.as_str() == name);
    let package = |package: &&cargo_metadata::Package| Package {
        name: package.name.to_string(),
        manifest: relative(&package.manifest_path),
        roots: package.targets.iter().map(|target| relative(&target.src_path)).collect(),
        dependencies: package
            .dependencies
            .iter()
            .filter(|dependency| is_ours(&dependency.name))
            .map(|dependency| {
                (dependency.name.clone(), if dependency.kind == DependencyKind::Development { Use::Tests } else { Use::Product })
            })
            .collect(),
    };
    ours.iter().map(package).collect()
}
