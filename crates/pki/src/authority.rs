//! The authority: a directory, and what can be done with it.
//!
//! ```text
//! DIR/
//!   ca.pem              the authority's certificate; everyone trusts it
//!   ca.key              its private key, readable by the owner only
//!   crl.pem             revocation list, signed; replaced in one step
//!   index.jsonl         everything issued and revoked, in order
//!   lock                held while something changes
//!   issued/NAME.pem     newest certificate of NAME
//!   issued/NAME.key     its private key, readable by the owner only
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use measure::MeterId;
use rcgen::{Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use time::OffsetDateTime;
use x509_parser::pem::parse_x509_pem;

use crate::files::{self, Access};
use crate::index::{Entry, Index, Line, Status};
use crate::profile::{self, IssueOptions, Revoked};
use crate::{Error, Role};

/// What a new authority is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Days of validity of the authority's own certificate, at most 1,826 (five years).
    pub valid_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { valid_days: profile::VALID_DAYS_MAX }
    }
}

/// A certificate authority in a directory. Several processes may use one directory; each change is made under its lock.
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    until: OffsetDateTime,
    index: Index,
}

/// Where a certificate and its private key were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// What the index says of it.
    pub entry: Entry,
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM (PKCS #8), readable by the owner only.
    pub key: PathBuf,
}

impl Authority {
    /// Makes an authority in `dir`, which is created if missing and must be empty.
    pub fn create(dir: impl AsRef<Path>) -> Result<Authority, Error> {
        Authority::create_with(dir, &Settings::default())
    }

    /// The same with other settings than the default ones.
    pub fn create_with(dir: impl AsRef<Path>, settings: &Settings) -> Result<Authority, Error> {
        let dir = dir.as_ref();
        let now = OffsetDateTime::now_utc();
        let validity = profile::validity(now, settings.valid_days)?;
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let mut content = fs::read_dir(dir).map_err(Error::io("read", dir))?;
        if content.next().is_some() {
            return Err(Error::Occupied(dir.to_owned()));
        }

        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let serial = random_serial()?;
        // Two authorities of one house must differ in name: a chain is built by names.
        let name = format!("Ferraris CA {}", hex(serial.get(..4).unwrap_or_default()));
        let certificate = profile::authority(&name, &serial, validity).self_signed(&key)?;

        let issued = dir.join(ISSUED);
        fs::create_dir(&issued).map_err(Error::io("create", &issued))?;
        Index::create(&dir.join(INDEX))?;
        files::replace(&dir.join(KEY), key.serialize_pem().as_bytes(), Access::Private)?;
        files::replace(&dir.join(CERTIFICATE), certificate.pem().as_bytes(), Access::Public)?;
        let mut authority = Authority::open(dir)?;
        authority.locked(|this| this.write_revocation_list(now))?;
        Ok(authority)
    }

    /// Opens the authority in `dir`.
    pub fn open(dir: impl AsRef<Path>) -> Result<Authority, Error> {
        let dir = dir.as_ref();
        let path = dir.join(CERTIFICATE);
        let certificate = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Absent(dir.to_owned())),
            other => other.map_err(Error::io("read", &path))?,
        };
        let key_path = dir.join(KEY);
        let key = KeyPair::from_pem(&files::read(&key_path)?).map_err(|error| Error::foreign(&key_path, error))?;
        let until = check_certificate(&certificate, &key).map_err(|why| Error::foreign(&path, why))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).map_err(|error| Error::foreign(&path, error))?;
        let index = Index::open(&dir.join(INDEX))?;
        Ok(Authority { dir: dir.to_owned(), issuer, until, index })
    }

    /// Issues a certificate (P-256) to `name` in `role` and writes it and its private key under `issued/`.
    pub fn issue(&mut self, name: &str, role: Role, options: &IssueOptions) -> Result<Issued, Error> {
        let name: MeterId = name.parse().map_err(|source| Error::Name { name: name.to_owned(), source })?;
        let now = OffsetDateTime::now_utc();
        let validity = profile::validity(now, options.valid_days.unwrap_or(role.default_valid_days()))?;
        if validity.1 > self.until {
            return Err(Error::Outlives { until: self.until });
        }
        let serial = random_serial()?;
        let params = profile::leaf(&name, role, &options.hosts, &serial, validity)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let pem = params.signed_by(&key, &self.issuer)?.pem();

        let entry = Entry {
            serial: hex(&serial),
            name: name.to_string(),
            role,
            hosts: options.hosts.clone(),
            not_before: validity.0,
            not_after: validity.1,
            revoked: None,
        };
        self.locked(|this| {
            if !options.renew {
                this.refuse_taken(name.as_str(), now)?;
            }
            this.index.append(&Line::Issued(entry.clone()))?;
            let key_path = this.key_path(&name);
            let path = this.certificate_path(&name);
            files::replace(&key_path, key.serialize_pem().as_bytes(), Access::Private)?;
            files::replace(&path, pem.as_bytes(), Access::Public)?;
            Ok(Issued { entry, certificate: path, key: key_path })
        })
    }

    /// Takes back every certificate of `name` and writes the revocation list. Returns what it took back: nothing if all was
    /// revoked before, in which case the list is written again all the same (a crash may have come between).
    pub fn revoke(&mut self, name: &str) -> Result<Vec<Entry>, Error> {
        let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        self.locked(|this| {
            let of_name: Vec<Entry> = this.index.entries().iter().filter(|entry| entry.name == name).cloned().collect();
            if of_name.is_empty() {
                return Err(Error::Unknown(name.to_owned()));
            }
            let taken_back: Vec<Entry> = of_name.into_iter().filter(|entry| entry.status(now) == Status::Valid).collect();
            for entry in &taken_back {
                this.index.append(&Line::Revoked { serial: entry.serial.clone(), at: now })?;
            }
            this.write_revocation_list(now)?;
            Ok(taken_back)
        })
    }

    /// Everything ever issued, oldest first.
    pub fn list(&mut self) -> Result<Vec<Entry>, Error> {
        self.index.refresh()?;
        Ok(self.index.entries().to_vec())
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The authority's certificate, PEM: what the others trust.
    pub fn ca_path(&self) -> PathBuf {
        self.dir.join(CERTIFICATE)
    }

    /// The revocation list, PEM. It is there from the beginning.
    pub fn crl_path(&self) -> PathBuf {
        self.dir.join(REVOCATIONS)
    }

    /// Where the newest certificate of `name` is, if one was issued.
    pub fn certificate_path(&self, name: &MeterId) -> PathBuf {
        self.dir.join(ISSUED).join(format!("{name}.pem"))
    }

    /// Where the private key to it is.
    pub fn key_path(&self, name: &MeterId) -> PathBuf {
        self.dir.join(ISSUED).join(format!("{name}.key"))
    }

    /// Runs `change` alone among all processes, on the newest index.
    fn locked<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let path = self.dir.join(LOCK);
        let lock = File::create(&path).map_err(Error::io("create", &path))?;
        lock.lock().map_err(Error::io("lock", &path))?;
        self.index.refresh()?;
        change(self)
    }

    fn refuse_taken(&self, name: &str, now: OffsetDateTime) -> Result<(), Error> {
        let in_force = |entry: &&Entry| entry.name == name && entry.status(now) == Status::Valid;
        match self.index.entries().iter().rev().find(in_force) {
            Some(entry) => Err(Error::Taken { name: name.to_owned(), until: entry.not_after }),
            None => Ok(()),
        }
    }

    fn write_revocation_list(&self, now: OffsetDateTime) -> Result<(), Error> {
        // What has expired is refused anyway.
        let listed = |entry: &&Entry| entry.not_after >= now;
        let revoked = |entry: &Entry| entry.revoked.map(|at| revoked(entry, at));
        let revoked: Vec<Revoked> = self.index.entries().iter().filter(listed).filter_map(revoked).collect::<Result<_, _>>()?;
        let number = self.index.lines().saturating_add(1);
        let list = profile::revocation_list(revoked, number, now, self.until).signed_by(&self.issuer)?;
        files::replace(&self.crl_path(), list.pem()?.as_bytes(), Access::Public)
    }
}

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";
const REVOCATIONS: &str = "crl.pem";
const INDEX: &str = "index.jsonl";
const LOCK: &str = "lock";
const ISSUED: &str = "issued";

/// Checks that `pem` is the certificate of an authority and belongs to `key`; returns the end of its validity.
fn check_certificate(pem: &str, key: &KeyPair) -> Result<OffsetDateTime, String> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|error| format!("no PEM file: {error}"))?;
    let certificate = pem.parse_x509().map_err(|error| format!("no certificate: {error}"))?;
    if !certificate.is_ca() {
        return Err("not the certificate of an authority".to_owned());
    }
    if certificate.public_key().subject_public_key.data != key.public_key_raw() {
        return Err(format!("{KEY} is the key to another certificate"));
    }
    Ok(certificate.validity().not_after.to_datetime())
}

/// 127 random bits that are neither zero nor negative (RFC 5280 §4.1.2.2).
fn random_serial() -> Result<[u8; 16], Error> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial)?;
    serial[0] = (serial[0] & 0x7f) | 0x40;
    Ok(serial)
}

fn revoked(entry: &Entry, at: OffsetDateTime) -> Result<Revoked, Error> {
    let serial = unhex(&entry.serial).ok_or_else(|| Error::foreign(INDEX, format!("`{}` is no serial number", entry.serial)))?;
    Ok(Revoked { serial, at })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(byte).collect()
}
