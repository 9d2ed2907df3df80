//! The file that `ferraris calibrate` writes and the agent reads: a meter's gains, when and against what they were found.

use std::io;
use std::path::{Path, PathBuf};

use edge_core::calibration::{Calibration, Gains, NoCalibration, ONE};
use serde::{Deserialize, Serialize};

/// Longest file that is read: it has seven lines.
const FILE_LEN_MAX: u64 = 64 * 1024;

/// A meter's calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Counts the calibrations of this meter, from 1.
    pub version: u16,
    /// The day, as YYYY-MM-DD.
    pub date: String,
    /// What it was compared with: maker, type, number.
    pub instrument: String,
    /// The instrument's voltage over the meter's.
    pub voltage_gain: f64,
    /// The instrument's current over the meter's.
    pub current_gain: f64,
}

/// A calibration can't be used: mend or remove the file.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The file isn't there, may not be read, or can't be written.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not TOML, or other keys.
    #[error("{}: {message}; `ferraris calibrate` writes it anew", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A value that makes no sense.
    #[error("{}: {source}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: NoCalibration,
    },
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`CalibrationError`].
    pub fn load(path: &Path) -> Result<Self, CalibrationError> {
        let failed = |source| CalibrationError::File { action: "can't read", path: path.into(), source };
        if std::fs::metadata(path).map_err(failed)?.len() > FILE_LEN_MAX {
            return Err(CalibrationError::Syntax { path: path.into(), message: "is too long for a calibration".to_owned() });
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        toml::from_str(&text).map_err(|error| CalibrationError::Syntax { path: path.into(), message: error.message().replace('\n', " ") })
    }

    /// Writes it in one piece: whoever reads the file meanwhile sees the old one or the new one.
    ///
    /// # Errors
    /// See [`CalibrationError`].
    pub fn save(&self, path: &Path) -> Result<(), CalibrationError> {
        let failed = |source| CalibrationError::File { action: "can't write", path: path.into(), source };
        let text = toml::to_string(self).map_err(|error| failed(io::Error::other(error)))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        std::fs::write(&beside, format!("# Written by `ferraris calibrate`. Name it as calibration_file in agent.toml.\n{text}"))
            .map_err(failed)?;
        std::fs::File::open(&beside).and_then(|file| file.sync_all()).map_err(failed)?;
        std::fs::rename(&beside, path).map_err(failed)
    }

    /// What the filter is given; `path` for the error.
    ///
    /// # Errors
    /// [`CalibrationError::Value`].
    pub fn calibration(&self, path: &Path) -> Result<Calibration, CalibrationError> {
        let digits = |text: &str, len: usize| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
        let mut parts = self.date.split('-');
        let (year, month, day) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let sound = digits(year, 4) && digits(month, 2) && digits(day, 2) && parts.next().is_none();
        let date = if sound { format!("{year}{month}{day}").parse().unwrap_or(0) } else { 0 };
        Gains::new(millionths(self.voltage_gain), millionths(self.current_gain))
            .and_then(|gains| Calibration::new(self.version, date, gains))
            .map_err(|source| CalibrationError::Value { path: path.into(), source })
    }
}

/// A gain in millionths, rounded; what is no gain becomes one that is refused.
pub fn millionths(gain: f64) -> u32 {
    // The cast saturates, and makes 0 of NaN.
    (gain * f64::from(ONE)).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        File { version: 2, date: "2026-12-01".into(), instrument: "reference 7".into(), voltage_gain: 0.991, current_gain: 1.02 }
    }

    #[test]
    fn what_is_written_is_read_and_is_a_calibration() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("calibration.toml");
        file().save(&path).expect("writes");
        let read = File::load(&path).expect("reads");
        assert_eq!(read, file());
        assert_eq!(
            read.calibration(&path).expect("sound"),
            Calibration::new(2, 20_261_201, Gains::new(991_000, 1_020_000).expect("sound")).expect("sound")
        );
        assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn nonsense_is_told_with_the_file() {
        let path = Path::new("c.toml");
        let problem = |file: File| file.calibration(path).expect_err("unsound").to_string();
        assert_eq!(problem(File { date: "1.12.2026".into(), ..file() }), "c.toml: date 0 is no day: write it as YYYYMMDD");
        for gain in [f64::NAN, f64::INFINITY, -1.0, 0.0, 2.0] {
            assert!(problem(File { voltage_gain: gain, ..file() }).starts_with("c.toml: gain of the voltage is"), "{gain}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.toml");
        assert!(File::load(&path).expect_err("not there").to_string().starts_with("can't read "));
        std::fs::write(&path, "version = 1\ncolour = 2\n").expect("writes");
        assert!(File::load(&path).expect_err("another key").to_string().contains("ferraris calibrate"));
    }
}
