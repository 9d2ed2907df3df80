//! Files with the keys of command authorities, in the form that OpenSSL writes and reads: PKCS#8 in PEM.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use wire::command::{Authority, AuthorityKey};

/// What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410, section 7).
const PREFIX: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Makes a key pair and writes its secret half to a new file that only its owner may read.
pub fn generate(path: &Path) -> anyhow::Result<AuthorityKey> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("the system has no randomness")?;
    let text = format!("{BEGIN}\n{}\n{END}\n", BASE64_STANDARD.encode([&PREFIX[..], &secret].concat()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(|| {
        format!("can't create {}: a key that is there is never overwritten; name another file with --out", path.display())
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(|| format!("can't write {}", path.display()))?;
    Ok(Authority::from_secret(&secret).key())
}

/// Reads the secret half.
pub fn read(path: &Path) -> anyhow::Result<Authority> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("can't read the key {}; `ferraris command keygen` makes one", path.display()))?;
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("the key {} may be read by others: chmod 600 {}", path.display(), path.display());
    }
    let secret = secret(&text).with_context(|| {
        format!("{} is no Ed25519 private key (PKCS#8, PEM), as `ferraris command keygen` and `openssl genpkey` write it", path.display())
    })?;
    Ok(Authority::from_secret(&secret))
}

fn secret(text: &str) -> Option<[u8; 32]> {
    let body = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let body: String = body.split_whitespace().collect();
    let bytes = BASE64_STANDARD.decode(body).ok()?;
    let secret: [u8; 32] = bytes.strip_prefix(&PREFIX)?.try_into().ok()?;
    (secret != [0; 32]).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_made_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dispatch.key");
        let key = generate(&path).unwrap();
        assert_eq!(read(&path).unwrap().key(), key);
        assert!(generate(&path).unwrap_err().to_string().contains("never overwritten"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    /// Written by OpenSSL 3 (`openssl genpkey -algorithm ed25519`) from the secret of RFC 8032, section 7.1, test 1.
    #[test]
    fn openssl_writes_the_same_form() {
        let pem =
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        let key = Authority::from_secret(&secret(pem).unwrap()).key().to_string();
        assert_eq!(key, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(secret(&pem.replace("MC4C", "MC4D")), None);
        assert_eq!(secret(""), None);
        let zeros = BASE64_STANDARD.encode([&PREFIX[..], &[0; 32]].concat());
        assert_eq!(secret(&format!("{BEGIN}\n{zeros}\n{END}\n")), None, "nobody's key");
    }
}
