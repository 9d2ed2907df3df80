//! The checked-in files, and what is generated compared with them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of the repository, by its path from this crate.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The JSON in a file.
pub fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{}: {error}; make it with `UPDATE_CONTRACTS=1 cargo test -p contracts`", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares with the checked-in file, or with `UPDATE_CONTRACTS=1` writes it.
pub fn matches_file(relative: &str, generated: &Value) {
    update(relative, &format!("{generated:#}\n"));
    assert!(read(&path(relative)) == *generated, "{relative} {DIFFERS}");
}

/// The same for a file that is no JSON.
pub fn matches_text(relative: &str, generated: &str) {
    update(relative, generated);
    let found = fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"));
    assert!(found == generated, "{relative} {DIFFERS}");
}

const DIFFERS: &str = "is not what the code generates: if the change is meant, `UPDATE_CONTRACTS=1 cargo test -p contracts`";

fn update(relative: &str, text: &str) {
    if std::env::var_os("UPDATE_CONTRACTS").is_some() {
        let path = path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Other tests of this process may be reading the file.
        let whole = path.with_extension("new");
        fs::write(&whole, text).unwrap();
        fs::rename(&whole, &path).unwrap();
    }
}
