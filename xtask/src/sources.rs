//! Rules of STYLE.md that can be read off a file's text.

use crate::Complaint;
use crate::tree::Tree;

/// At this length there is a second room in a file.
const LINES_MAX: usize = 400;

/// What must not be in a Rust line, and what to do instead. Written in pieces, so that this file keeps its own rules.
const FORBIDDEN_IN_RUST: &[(&str, &str)] = &[
    (concat!("#[", "allow("), "use `#[expect(…, reason = \"…\")]`"),
    (concat!("#![", "allow("), "use `#![expect(…, reason = \"…\")]`"),
    (concat!("#[", "ignore"), "a test runs or is not there"),
    (concat!("todo", "!("), "write it or leave it out"),
    (concat!("unimplemented", "!("), "write it or leave it out"),
];

/// Paths that exist on one developer's machine only.
const PRIVATE_PLACES: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Words for work that is not done.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

pub fn check(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in &tree.files {
        complaints.extend(any_file(path, text, &tree.root));
        if path.ends_with(".rs") {
            complaints.extend(rust_file(path, text));
        }
    }
    complaints
}

fn any_file(path: &str, text: &str, root: &str) -> Vec<Complaint> {
    let line = |(number, line): (usize, &str)| {
        let place = || format!("{path}:{}", number.saturating_add(1));
        let note = NOTES.iter().find(|note| line.contains(*note)).map(|note| Complaint::new(place(), format!("{note}: do it or leave it")));
        let private = PRIVATE_PLACES.iter().copied().chain([root]).find(|it| !it.is_empty() && line.contains(it));
        let private = private.map(|it| Complaint::new(place(), format!("names {it}, which is on one machine only")));
        note.into_iter().chain(private).collect::<Vec<_>>()
    };
    text.lines().enumerate().flat_map(line).collect()
}

fn rust_file(path: &str, text: &str) -> Vec<Complaint> {
    let lines = text.lines().count();
    let long = (lines > LINES_MAX).then(|| Complaint::new(path, format!("{lines} lines: at {LINES_MAX} there is a second room in it")));
    let is_test = path.starts_with("tests/") || path.contains("/tests/");
    // Each test program uses another part of what they share: what is dead code in one is not in the next.
    let is_shared = path.ends_with("tests/common/mod.rs");
    let line = |(number, line): (usize, &str)| {
        let place = || format!("{path}:{}", number.saturating_add(1));
        let excused = is_shared && line.contains("(dead_code");
        let forbidden = FORBIDDEN_IN_RUST.iter().find(|(word, _)| line.contains(word) && !excused);
        let forbidden = forbidden.map(|(word, instead)| Complaint::new(place(), format!("`{word}`: {instead}")));
        let sleeps = is_test && line.contains(concat!("sle", "ep("));
        let sleeps = sleeps.then(|| Complaint::new(place(), "a test waits for a condition: testkit::await_until"));
        forbidden.into_iter().chain(sleeps).collect::<Vec<_>>()
    };
    long.into_iter().chain(text.lines().enumerate().flat_map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_and_private_places_are_found_with_their_line() {
        let text = format!("fine\n// {}: later\nsee {}x\n{} too", NOTES[0], PRIVATE_PLACES[0], "/src/checkout");
        let places: Vec<_> = any_file("a.md", &text, "/src/checkout").into_iter().map(|it| it.place).collect();
        assert_eq!(places, ["a.md:2", "a.md:3", "a.md:4"]);
    }

    #[test]
    fn a_long_file_and_a_silenced_lint_are_refused() {
        assert_eq!(rust_file("a.rs", &"\n".repeat(LINES_MAX)), []);
        assert_eq!(rust_file("a.rs", &"\n".repeat(LINES_MAX + 1)).len(), 1);
        assert_eq!(rust_file("a.rs", &format!("{}dead_code)]", FORBIDDEN_IN_RUST[0].0)).len(), 1);
    }

    #[test]
    fn only_tests_must_not_sleep() {
        let text = concat!("tokio::time::sle", "ep(a)");
        assert_eq!(rust_file("crates/a/src/b.rs", text), []);
        assert_eq!(rust_file("tests/a.rs", text).len(), 1);
        assert_eq!(rust_file("crates/a/tests/b.rs", text).len(), 1);
    }
}
