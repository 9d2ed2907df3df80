//! `ferraris command code`: the digits that load an account at its meter's keypad, made where credit is sold.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use edge_core::code::{AMOUNT_MAX, Code, SECRET_LEN, Secret};
use measure::Account;

use crate::output;

/// Prints the code for the account.
pub fn print(account: &Account, secret: &Path, serial: u16, tenths: u32, json: bool) -> anyhow::Result<()> {
    let code = Code { meter: account.meter().clone(), channel: account.channel(), serial, tenths };
    let digits = code.digits(&read(secret)?).with_context(|| format!("the amount is more than {}", f64::from(AMOUNT_MAX) / 10.0))?;
    output::line(if json {
        serde_json::json!({ "account": account, "serial": serial, "amount": f64::from(tenths) / 10.0, "code": digits.as_str() }).to_string()
    } else {
        grouped(&digits)
    })?;
    Ok(())
}

/// Four digits at a time, as one reads them out.
fn grouped(digits: &str) -> String {
    let place = |(place, digit): (usize, char)| (place > 0 && place.is_multiple_of(4)).then_some(' ').into_iter().chain([digit]);
    digits.chars().enumerate().flat_map(place).collect()
}

fn read(path: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("can't read the secret {}: it is the file that code_secret_file in agent.toml names", path.display()))?;
    if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        bail!("the secret {} may be read by others: chmod 600 {}", path.display(), path.display());
    }
    let bytes = hex::decode(text.trim()).ok().and_then(|bytes| <[u8; SECRET_LEN]>::try_from(bytes).ok());
    bytes.map(Secret).with_context(|| format!("{} holds something else than 64 hexadecimal digits", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_only_if_it_is_one() {
        assert_eq!(grouped("01234567890123456789"), "0123 4567 8901 2345 6789");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("M1.codes");
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read(&path).map(|secret| secret.0).map_err(|error| error.to_string())
        };
        assert_eq!(write(&format!("{}\n", "0a".repeat(32)), 0o600), Ok([10; 32]));
        assert!(write(&"0a".repeat(32), 0o644).unwrap_err().contains("chmod 600"));
        assert!(write("0a0a", 0o600).unwrap_err().contains("64 hexadecimal digits"));
    }
}
