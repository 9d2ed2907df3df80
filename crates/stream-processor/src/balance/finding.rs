//! What a test found, with everything that somebody needs to judge it.

use std::fmt;
use std::str::FromStr;

use measure::{FeederId, MeterId, UnixMillis};
use serde::{Deserialize, Serialize};

/// A test that watches a feeder or what hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// A line's meter against the sum of all, technical losses learned.
    Balance,
    /// Voltage drops against registered currents.
    VoltageDrop,
    /// A line-side meter against the house meter behind it.
    Pair,
    /// What a meter's own readings give away.
    EdgeEvidence,
    /// Currents of the phases, apart.
    Unbalance,
    /// Meters without supply.
    SupplyLost,
}

impl Test {
    /// As it is named in records and figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Balance => "feeder_balance",
            Self::VoltageDrop => "voltage_drop",
            Self::Pair => "pair",
            Self::EdgeEvidence => "edge_evidence",
            Self::Unbalance => "unbalance",
            Self::SupplyLost => "supply_lost",
        }
    }
}

/// Where.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// Somewhere on this feeder.
    Feeder(FeederId),
    /// On the line at this pole.
    Pole(FeederId, String),
    /// At or behind this meter.
    Meter(MeterId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Feeder(feeder) => write!(f, "feeder {feeder}"),
            Self::Pole(feeder, pole) => write!(f, "feeder {feeder}, pole {pole}"),
            Self::Meter(meter) => write!(f, "meter {meter}"),
        }
    }
}

/// No name of a meter or feeder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subject is `meter ID` or `feeder ID`")]
pub struct InvalidSubject;

impl FromStr for Subject {
    type Err = InvalidSubject;

    /// Of a meter or a feeder, as it is shown.
    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let (kind, id) = text.split_once(' ').ok_or(InvalidSubject)?;
        match kind {
            "meter" => id.parse().map(Self::Meter).map_err(|_| InvalidSubject),
            "feeder" => id.parse().map(Self::Feeder).map_err(|_| InvalidSubject),
            _ => Err(InvalidSubject),
        }
    }
}

/// What a test found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which test.
    pub test: Test,
    /// Where.
    pub subject: Subject,
    /// Whether this begins or is over.
    pub begins: bool,
    /// The test's statistic, in its unit (`unit`), and the threshold that it passed.
    pub statistic: f64,
    /// See `statistic`.
    pub threshold: f64,
    /// Unit of both.
    pub unit: &'static str,
    /// When it began, as far as the test can tell.
    pub since: UnixMillis,
    /// When the test knew.
    pub at: UnixMillis,
    /// What it rests on: a time and the test's value then.
    pub evidence: Vec<(UnixMillis, f64)>,
    /// The missing current in A, where the test tells one.
    pub amperes: Option<f64>,
    /// In words, where the test tells more than a place: of a lost supply where it is lost, of evidence its kinds.
    pub cause: Option<String>,
}

impl Finding {
    /// What a test found of this subject does not hold any more.
    pub fn over(test: Test, subject: Subject, at: UnixMillis) -> Self {
        let (begins, evidence) = (false, Vec::new());
        Self { test, subject, begins, statistic: 0.0, threshold: 0.0, unit: "", since: at, at, evidence, amperes: None, cause: None }
    }

    /// From the beginning to the alarm, in ms.
    pub fn delay_ms(&self) -> i64 {
        self.at.millis_since(self.since)
    }
}
