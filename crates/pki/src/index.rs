//! What an authority has issued and revoked: a file of JSON lines that only grows.
//!
//! A line is written and synced before the certificate it speaks of exists, so that no certificate is ever out of the index and thereby
//! out of reach of a revocation.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Error, Role};

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Serial number, as hexadecimal digits.
    pub serial: String,
    /// Common name of the subject.
    pub name: String,
    /// Organisational unit of the subject.
    pub role: Role,
    /// Where a server is reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Begin of validity.
    #[serde(with = "time::serde::rfc3339")]
    pub not_before: OffsetDateTime,
    /// End of validity.
    #[serde(with = "time::serde::rfc3339")]
    pub not_after: OffsetDateTime,
    /// When it was revoked.
    #[serde(skip)]
    pub revoked: Option<OffsetDateTime>,
}

/// What a certificate is worth at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In force.
    Valid,
    /// Past its end.
    Expired,
    /// Taken back.
    Revoked,
}

impl Entry {
    /// What the certificate is worth at `now`.
    pub fn status(&self, now: OffsetDateTime) -> Status {
        match self.revoked {
            Some(_) => Status::Revoked,
            None if self.not_after < now => Status::Expired,
            None => Status::Valid,
        }
    }
}

/// One line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Line {
    Issued(Entry),
    Revoked {
        serial: String,
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
}

/// The file, and what was read of it so far.
pub(crate) struct Index {
    path: PathBuf,
    entries: Vec<Entry>,
    lines: u64,
    read_to: u64,
}

impl Index {
    pub(crate) fn create(path: &Path) -> Result<Index, Error> {
        OpenOptions::new().write(true).create_new(true).open(path).map_err(Error::io("create", path))?;
        Index::open(path)
    }

    pub(crate) fn open(path: &Path) -> Result<Index, Error> {
        let mut index = Index { path: path.to_owned(), entries: Vec::new(), lines: 0, read_to: 0 };
        index.refresh()?;
        Ok(index)
    }

    /// Everything issued, oldest first.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many lines there are: a number that grows with every change.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Reads what another process has appended since. A last line without its end was never acknowledged to anyone and is
    /// left out; [`Index::append`] overwrites it.
    pub(crate) fn refresh(&mut self) -> Result<(), Error> {
        let cannot_read = || Error::io("read", &self.path);
        let mut file = File::open(&self.path).map_err(cannot_read())?;
        file.seek(SeekFrom::Start(self.read_to)).map_err(cannot_read())?;
        let mut reader = BufReader::new(file);
        let mut text = String::new();
        loop {
            text.clear();
            // A line is some hundred bytes; the limit keeps a foreign file out of memory.
            let len = reader.by_ref().take(LINE_LEN_MAX).read_line(&mut text).map_err(Error::io("read", &self.path))?;
            if !text.ends_with('\n') {
                return if (len as u64) < LINE_LEN_MAX { Ok(()) } else { Err(self.damaged("line too long")) };
            }
            let line = serde_json::from_str(&text).map_err(|error| self.damaged(error))?;
            self.apply(line)?;
            self.read_to = self.read_to.saturating_add(len as u64);
        }
    }

    /// Appends a line and waits until it is on the disk.
    pub(crate) fn append(&mut self, line: &Line) -> Result<(), Error> {
        let mut text = serde_json::to_string(line).map_err(|error| Error::foreign(&self.path, error))?;
        text.push('\n');
        let write = || {
            let mut file = OpenOptions::new().write(true).open(&self.path)?;
            file.set_len(self.read_to)?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(text.as_bytes())?;
            file.sync_data()
        };
        write().map_err(Error::io("write", &self.path))?;
        self.refresh()
    }

    fn apply(&mut self, line: Line) -> Result<(), Error> {
        match line {
            Line::Issued(entry) => self.entries.push(entry),
            Line::Revoked { serial, at } => {
                let Some(entry) = self.entries.iter_mut().find(|entry| entry.serial == serial) else {
                    return Err(self.damaged(format!("revokes the unknown serial {serial}")));
                };
                entry.revoked.get_or_insert(at);
            }
        }
        self.lines = self.lines.saturating_add(1);
        Ok(())
    }

    fn damaged(&self, why: impl std::fmt::Display) -> Error {
        Error::foreign(&self.path, format!("line {}: {why}", self.lines.saturating_add(1)))
    }
}

const LINE_LEN_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(serial: &str) -> Entry {
        let time = OffsetDateTime::UNIX_EPOCH;
        Entry {
            serial: serial.into(),
            name: "M1".into(),
            role: Role::Meter,
            hosts: vec![],
            not_before: time,
            not_after: time,
            revoked: None,
        }
    }

    #[test]
    fn a_half_written_line_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.jsonl");
        let mut index = Index::create(&path).unwrap();
        index.append(&Line::Issued(entry("01"))).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"issued":{"serial":"02","na"#).unwrap();

        let mut index = Index::open(&path).unwrap();
        assert_eq!(index.entries().len(), 1);
        index.append(&Line::Issued(entry("03"))).unwrap();
        index.append(&Line::Revoked { serial: "03".into(), at: OffsetDateTime::UNIX_EPOCH }).unwrap();

        let index = Index::open(&path).unwrap();
        let serials: Vec<_> = index.entries().iter().map(|e| (e.serial.as_str(), e.revoked.is_some())).collect();
        assert_eq!(serials, [("01", false), ("03", true)]);
    }

    #[test]
    fn a_foreign_file_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.jsonl");
        std::fs::write(&path, "hello\n").unwrap();
        let error = Index::open(&path).err().unwrap().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
