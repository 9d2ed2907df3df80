//! Files that no `mod` declares: they look alive and are never compiled.

use std::collections::BTreeSet;

use crate::Complaint;
use crate::tree::Tree;

pub fn check(tree: &Tree) -> Vec<Complaint> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<(String, bool)> = tree.packages.iter().flat_map(|it| it.roots.iter().map(|root| (root.clone(), true))).collect();
    while let Some((path, is_root)) = open.pop() {
        if !reached.insert(path.clone()) {
            continue;
        }
        let Some(text) = tree.files.get(&path) else { continue };
        let candidates = declared(text).into_iter().flat_map(|module| module.candidates(&path, is_root));
        open.extend(candidates.filter(|it| tree.files.contains_key(it)).map(|it| (it, false)));
    }
    let in_package = |path: &str| tree.packages.iter().any(|it| path.starts_with(it.manifest.trim_end_matches("Cargo.toml")));
    let dead = tree.rust().filter(|(path, _)| in_package(path) && !reached.contains(*path));
    dead.map(|(path, _)| Complaint::new(path.clone(), "no `mod` declares this file: declare it or delete it")).collect()
}

/// A module without a body in the same file.
#[derive(Debug, PartialEq, Eq)]
struct Declared {
    name: String,
    /// Value of a `#[path]` attribute.
    path: Option<String>,
}

impl Declared {
    /// Where its file may be.
    fn candidates(&self, from: &str, is_root: bool) -> Vec<String> {
        let (dir, file) = from.rsplit_once('/').unwrap_or(("", from));
        if let Some(path) = &self.path {
            return vec![format!("{dir}/{path}")];
        }
        let stem = file.trim_end_matches(".rs");
        let dir = if is_root || stem == "mod" { dir.to_owned() } else { format!("{dir}/{stem}") };
        vec![format!("{dir}/{}.rs", self.name), format!("{dir}/{}/mod.rs", self.name)]
    }
}

fn declared(text: &str) -> Vec<Declared> {
    let mut modules = Vec::new();
    let mut path = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[path") {
            path = rest.split('"').nth(1).map(str::to_owned);
        } else if let Some(name) = module_name(line) {
            modules.push(Declared { name: name.to_owned(), path: path.take() });
        }
    }
    modules
}

/// The name in `mod name;`, with any visibility before it.
fn module_name(line: &str) -> Option<&str> {
    let line = line.strip_suffix(';')?;
    let (before, name) = line.rsplit_once("mod ")?;
    let before = before.trim();
    let visibility = before.is_empty() || before == "pub" || (before.starts_with("pub(") && before.ends_with(')'));
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (visibility && is_name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Package;

    #[test]
    fn declarations_are_found() {
        let text = "mod a;\npub mod b;\npub(crate) mod c;\nmod d {\n}\n// mod e;\n#[path = \"x/f.rs\"]\nmod f;\n";
        let names: Vec<_> = declared(text).into_iter().map(|it| (it.name, it.path)).collect();
        let expected = [("a", None), ("b", None), ("c", None), ("f", Some("x/f.rs".to_owned()))];
        assert_eq!(names, expected.map(|(name, path)| (name.to_owned(), path)));
    }

    #[test]
    fn a_file_without_a_declaration_is_dead() {
        let files = [
            ("crates/a/src/lib.rs", "mod one;\nmod two;"),
            ("crates/a/src/one.rs", "mod inner;"),
            ("crates/a/src/one/inner.rs", ""),
            ("crates/a/src/two/mod.rs", ""),
            ("crates/a/src/three.rs", ""),
        ];
        let package = Package {
            name: "a".into(),
            manifest: "crates/a/Cargo.toml".into(),
            roots: vec!["crates/a/src/lib.rs".into()],
            dependencies: vec![],
        };
        let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        let tree = Tree { files, packages: vec![package], ..Tree::default() };
        let dead: Vec<_> = check(&tree).into_iter().map(|it| it.place).collect();
        assert_eq!(dead, ["crates/a/src/three.rs"]);
    }
}
