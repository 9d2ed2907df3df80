//! House rules as a program: what no compiler and no lint checks.
//!
//! `cargo xtask rules` reads the sources (a second); `cargo xtask tidy` does that and builds the pure crates for a processor without an
//! operating system; `cargo xtask examples` runs the commands of the documents.

mod bare_metal;
mod compose;
mod edges;
mod examples;
mod links;
mod manifests;
mod modules;
mod sources;
mod tree;

use std::fmt;
use std::process::ExitCode;

use tree::Tree;

/// What is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Complaint {
    place: String,
    what: String,
}

impl Complaint {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Complaint {
        Complaint { place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["rules"] => rules(),
        ["tidy"] => rules().and_then(|kept| Ok(kept & bare_metal::check()?)),
        ["examples"] => examples::check(),
        _ => {
            eprintln!("usage: cargo xtask rules | tidy | examples");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Checks the sources; whether all rules are kept.
fn rules() -> anyhow::Result<bool> {
    let tree = Tree::read()?;
    let mut complaints = edges::check(&tree.edges());
    complaints.extend(manifests::check(&tree));
    complaints.extend(modules::check(&tree));
    complaints.extend(sources::check(&tree));
    complaints.extend(links::check(&tree));
    complaints.extend(compose::check(&tree));
    complaints.sort();
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    println!("rules: {} files, {} complaints", tree.files.len(), complaints.len());
    Ok(complaints.is_empty())
}
