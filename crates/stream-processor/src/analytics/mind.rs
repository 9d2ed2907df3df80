//! What is known of one feeder, and its form to be kept in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::IntervalRecord;
use measure::UnixMillis;
use serde::{Deserialize, Serialize};

use super::assembly::Assembly;
use super::pairs::Pairs;
use crate::balance::finding::Finding;
use crate::balance::topology::Feeder;
use crate::balance::unbalance::Unbalance;
use crate::balance::watch::{Dropped, FeederWatch};
use crate::metrics::Unused;

const DAY_MS: i64 = 86_400_000;

/// A feeder under watch, with the quarter hours that are not complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mind {
    watch: FeederWatch,
    assembly: Assembly,
    /// States that were kept before pairs were compared have none.
    #[serde(default)]
    pairs: Pairs,
    /// As are those before phases were compared.
    #[serde(default)]
    unbalance: Unbalance,
    /// Day (UTC) of the last quarter of an hour judged, and the day up to which it was kept.
    day: UnixMillis,
    kept: UnixMillis,
}

/// Why what was kept can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No base64.
    #[error("state is no base64: {0}")]
    Text(#[from] base64::DecodeError),
    /// No CBOR, or of another version.
    #[error("state can't be read: {0}")]
    Form(String),
    /// Its parts do not fit together.
    #[error("state is of another feeder, or its parts do not fit together")]
    Unsound,
}

impl Mind {
    /// Knows nothing of this feeder yet.
    pub fn new(feeder: Feeder) -> Self {
        let (watch, time) = (FeederWatch::new(feeder), UnixMillis::default());
        Self { watch, assembly: Assembly::default(), pairs: Pairs::default(), unbalance: Unbalance::default(), day: time, kept: time }
    }

    /// The feeder.
    pub fn feeder(&self) -> &Feeder {
        self.watch.feeder()
    }

    /// Takes what a meter registered in a quarter of an hour, and says what is found by that.
    pub fn take(&mut self, interval: &IntervalRecord, settle_ms: i64) -> Result<Vec<Finding>, Unused> {
        let of_pair = self.pairs.push(self.watch.feeder(), interval, settle_ms);
        let complete = match self.assembly.push(self.watch.feeder(), interval, settle_ms) {
            // It told something of its pair, and is no part of the balance.
            Err(Unused::LineSide) if of_pair.is_some() => Vec::new(),
            // A pair waits no longer than the balance does, and has less to wait for.
            Err(_) if of_pair.as_ref().is_some_and(|it| !it.is_empty()) => Vec::new(),
            complete => complete?,
        };
        let mut findings = of_pair.unwrap_or_default();
        for quarter in complete {
            self.day = quarter.start.interval_start(DAY_MS);
            findings.extend(self.unbalance.push(self.watch.feeder(), &quarter));
            findings.extend(self.watch.push(&quarter));
        }
        Ok(findings)
    }

    /// What the tests left out so far, since the last one who kept it.
    pub fn dropped(&self) -> Dropped {
        self.watch.dropped()
    }

    /// Whether another day has begun since it was kept.
    pub fn is_due(&self) -> bool {
        self.day > self.kept
    }

    /// To be kept. None if it has no such form, which is a mistake of this program.
    pub fn keep(&mut self) -> Option<String> {
        let before = std::mem::replace(&mut self.kept, self.day);
        let mut bytes = Vec::new();
        if let Err(error) = ciborium::into_writer(self, &mut bytes) {
            tracing::error!(feeder = %self.feeder().id, %error, "state has no form");
            self.kept = before;
            return None;
        }
        Some(STANDARD.encode(bytes))
    }

    /// As it was kept.
    pub fn load(text: &str) -> Result<Self, LoadError> {
        let bytes = STANDARD.decode(text)?;
        let mind: Self = ciborium::from_reader(bytes.as_slice()).map_err(|error| LoadError::Form(error.to_string()))?;
        let feeder = mind.feeder();
        let sound = mind.watch.is_sound() && mind.assembly.is_of(feeder.houses.len()) && Feeder::of(feeder.record()).is_ok();
        if sound { Ok(mind) } else { Err(LoadError::Unsound) }
    }
}
