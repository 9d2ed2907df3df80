//! The bus of a chip on this machine, and what to do when it can't be opened.

use std::io;
use std::path::Path;

use anyhow::bail;
use edge_agent::ade7816::Wire;
use edge_agent::config::Interface;

/// Opens the bus; how it is wired is told by its name.
pub fn open(path: &Path) -> anyhow::Result<(Interface, Wire)> {
    let Some(interface) = Interface::of_port(path) else {
        bail!("{} is no bus of a chip: name /dev/i2c-… or /dev/spidev…", path.display());
    };
    match Wire::open(path, interface) {
        Ok(wire) => Ok((interface, wire)),
        Err(error) => bail!(cannot_open(path, interface, &error)),
    }
}

/// For people.
pub const fn name(interface: Interface) -> &'static str {
    match interface {
        Interface::I2c => "I2C",
        Interface::Spi => "SPI",
    }
}

fn cannot_open(path: &Path, interface: Interface, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            let there = buses(interface);
            let there = if there.is_empty() {
                format!("no {} bus is switched on; on a Raspberry Pi `sudo raspi-config` does it, under Interface Options", name(interface))
            } else {
                format!("there are {}", there.join(", "))
            };
            format!("there is no {shown}: {there}")
        }
        io::ErrorKind::PermissionDenied => {
            let group = if interface == Interface::I2c { "i2c" } else { "spi" };
            format!("{shown} may not be opened: add yourself to its group (`sudo usermod -aG {group} $USER`) and log in anew")
        }
        _ => format!("can't use {shown}: {error}; is it an {} bus?", name(interface)),
    }
}

/// Buses of this machine.
fn buses(interface: Interface) -> Vec<String> {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut found: Vec<_> =
        entries.filter(|path| Interface::of_port(path) == Some(interface)).map(|path| path.display().to_string()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_says_what_to_do() {
        let told = |kind: io::ErrorKind| cannot_open(Path::new("/dev/i2c-7"), Interface::I2c, &kind.into());
        assert!(told(io::ErrorKind::PermissionDenied).contains("usermod -aG i2c"));
        assert!(told(io::ErrorKind::NotFound).starts_with("there is no /dev/i2c-7: "));
        assert!(told(io::ErrorKind::Other).ends_with("is it an I2C bus?"));
        let complaint = open(Path::new("/dev/ttyUSB0")).err().map(|error| error.to_string());
        assert_eq!(complaint.as_deref(), Some("/dev/ttyUSB0 is no bus of a chip: name /dev/i2c-… or /dev/spidev…"));
        // A file of that name is no bus.
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("i2c-1");
        std::fs::write(&path, "").expect("writes");
        assert!(open(&path).err().is_some_and(|error| error.to_string().contains("is it an I2C bus?")));
    }
}
