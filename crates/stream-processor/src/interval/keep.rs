//! What is kept of a meter for a successor who takes the log again: the days gone by, which lie too far back for that. Everything else follows
//! from the readings since the low-water mark.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::MeterStateRecord;
use measure::{Channel as Number, MeterId};

use super::Output;
use super::profile::{Kept, Profile};

/// Gathers what is kept of meters whose channels come one after the other.
#[derive(Debug)]
pub(super) struct Keeper {
    next_offset: u64,
    meter: Option<MeterId>,
    has_changed: bool,
    channels: Vec<(Number, Kept)>,
    out: Vec<Output>,
}

impl Keeper {
    /// At this offset of the log.
    pub fn new(next_offset: u64) -> Self {
        Self { next_offset, meter: None, has_changed: false, channels: Vec::new(), out: Vec::new() }
    }

    /// Takes the next channel, what is to be kept of it, and whether that is new.
    pub fn see(&mut self, meter: &MeterId, channel: Number, has_changed: bool, kept: Option<Kept>) {
        if self.meter.as_ref() != Some(meter) {
            self.finish();
            self.meter = Some(meter.clone());
        }
        self.has_changed |= has_changed;
        self.channels.extend(kept.map(|it| (channel, it)));
    }

    /// What is to be written.
    pub fn close(mut self) -> Vec<Output> {
        self.finish();
        self.out
    }

    fn finish(&mut self) {
        let channels = std::mem::take(&mut self.channels);
        let has_changed = std::mem::take(&mut self.has_changed);
        let Some(meter) = self.meter.take().filter(|_| has_changed) else { return };
        if channels.is_empty() {
            self.out.push(Output::Gone(meter));
            return;
        }
        let mut bytes = Vec::new();
        if let Err(error) = ciborium::into_writer(&channels, &mut bytes) {
            tracing::error!(%error, "a meter's days have no form");
            return;
        }
        let next_offset = i64::try_from(self.next_offset).unwrap_or(i64::MAX);
        self.out.push(Output::State(MeterStateRecord { meter, next_offset, state: STANDARD.encode(bytes) }));
    }
}

/// Channels and their days, as they were kept; none if that can't be.
pub(super) fn load(text: &str) -> Option<Vec<(Number, Profile)>> {
    let bytes = STANDARD.decode(text).ok()?;
    let channels: Vec<(Number, Kept)> = ciborium::from_reader(bytes.as_slice()).ok()?;
    channels.into_iter().map(|(number, kept)| Some((number, Profile::load(kept)?))).collect()
}
