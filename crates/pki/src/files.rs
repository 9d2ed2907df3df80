//! Files that are either there in full or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::Error;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everyone: certificates, revocation list.
    Public,
    /// The owner only: private keys.
    Private,
}

/// Writes `content` to a new file beside `path` and moves it there: a reader sees the old file or the new one, never half of one.
pub(crate) fn replace(path: &Path, content: &[u8], access: Access) -> Result<(), Error> {
    let temporary = path.with_added_extension("new");
    // A leftover of a crash may have other permissions than the ones asked for.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &temporary)(error)),
        _ => {}
    }
    let write = || -> io::Result<()> {
        let mut file = options(access).create_new(true).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_directory_of(path)
    };
    write().map_err(Error::io("write", path))
}

/// The directory entry itself must survive a power cut, too.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

pub(crate) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::io("read", path))
}

/// How a file is opened for writing so that nobody else reads what is [`Access::Private`], from its first byte on.
fn options(access: Access) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    if access == Access::Private {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_replaces_a_readable_one_and_its_leftovers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        fs::write(&path, "old").unwrap();
        fs::write(dir.path().join("a.key.new"), "half").unwrap();
        replace(&path, b"secret", Access::Private).unwrap();
        assert_eq!(read(&path).unwrap(), "secret");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
