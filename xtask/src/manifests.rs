//! Every package keeps the workspace's lints, and the pure ones say that they need no operating system.

use crate::Complaint;
use crate::bare_metal::PURE;
use crate::tree::{Package, Tree};

pub fn check(tree: &Tree) -> Vec<Complaint> {
    let manifest = |package: &Package| lints(&package.manifest, tree.files.get(&package.manifest)?);
    let lints = tree.packages.iter().filter_map(manifest);
    let pure = PURE.iter().filter_map(|name| {
        let path = format!("crates/{name}/src/lib.rs");
        no_std(&path, tree.files.get(&path).map_or("", String::as_str))
    });
    lints.chain(pure).collect()
}

fn lints(path: &str, text: &str) -> Option<Complaint> {
    let inherits = |table: toml::Table| table.get("lints")?.get("workspace")?.as_bool();
    match text.parse::<toml::Table>().map(inherits) {
        Ok(Some(true)) => None,
        _ => Some(Complaint::new(path, "needs `[lints] workspace = true`")),
    }
}

fn no_std(path: &str, text: &str) -> Option<Complaint> {
    let declared = text.lines().any(|line| line.trim() == "#![no_std]");
    (!declared).then(|| Complaint::new(path, "a pure crate says `#![no_std]`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_are_inherited() {
        assert_eq!(lints("a", "[lints]\nworkspace = true\n"), None);
        for bad in ["[package]\n", "[lints]\nworkspace = false\n", "not toml ["] {
            assert!(lints("a", bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn purity_is_said_outright() {
        assert_eq!(no_std("a", "//! A.\n#![no_std]\n"), None);
        assert!(no_std("a", "//! #![no_std]\n").is_some());
    }
}
