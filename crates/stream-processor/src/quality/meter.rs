//! One meter: its channels, and whether it is heard.

use std::collections::BTreeMap;

use contracts::feeders::FeederEventKind;
use contracts::quality::{QualityKind, QualityMethod};
use contracts::{EventRecord, QualityRecord, ReadingRecord};
use measure::{ClockQuality, Flags, MeterId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::channel::{Channel, Context};
use super::rules::Rules;
use super::{Output, Sign};

/// Channels of a meter: the wire has 256 numbers, and no meter has more than a few.
const CHANNELS_MAX: usize = 32;
/// Years 1970 to 9998.
const TIMES: std::ops::Range<i64> = 1..253_370_764_800_000;
/// How far ahead of the head-end's time a reading may be, in ms.
const AHEAD_MS: i64 = 300_000;

/// Why a reading was not judged. It was heard all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotJudged {
    /// Its time is an upper bound, impossible, or ahead of the head-end's.
    Clock,
    /// It is older than one that was judged.
    Late,
    /// The edge filter rejected it.
    Rejected,
    /// The meter has too many channels.
    Channels,
}

/// What is known of a meter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// When the head-end got its last reading.
    pub(super) heard: UnixMillis,
    /// Whether it was found silent since.
    pub(super) is_silent: bool,
    channels: BTreeMap<u8, Channel>,
}

impl Meter {
    /// Takes a reading.
    pub(super) fn take(
        &mut self,
        reading: &ReadingRecord,
        rules: &Rules,
        contract_power_w: Option<f64>,
        out: &mut Vec<Output>,
    ) -> Result<(), NotJudged> {
        let at = reading.received_ms;
        if std::mem::take(&mut self.is_silent) {
            let (meter, since) = (&reading.meter, self.heard);
            out.push(silence(meter, rules, since, Some(at), at));
            out.push(Output::Sign(Sign { meter: meter.clone(), kind: FeederEventKind::Heard, since: at, at }));
        }
        self.heard = self.heard.max(at);
        let ahead = reading.time_ms > at.saturating_add(AHEAD_MS);
        if reading.clock == ClockQuality::Unknown || ahead || !TIMES.contains(&reading.time_ms.0) {
            return Err(NotJudged::Clock);
        }
        if reading.flags.contains(Flags::REJECTED) {
            return Err(NotJudged::Rejected);
        }
        if self.channels.len() >= CHANNELS_MAX && !self.channels.contains_key(&reading.channel) {
            return Err(NotJudged::Channels);
        }
        let channel = self.channels.entry(reading.channel).or_default();
        let mut context = Context { rules, meter: &reading.meter, number: reading.channel, contract_power_w, at, out };
        if channel.take(reading, &mut context) { Ok(()) } else { Err(NotJudged::Late) }
    }

    /// It was not heard for too long, as the head-end finds at `at`.
    pub(super) fn fall_silent(
        &mut self,
        meter: &MeterId,
        rules: &Rules,
        contract_power_w: Option<f64>,
        at: UnixMillis,
        out: &mut Vec<Output>,
    ) {
        self.is_silent = true;
        for (number, channel) in &mut self.channels {
            channel.cut(&mut Context { rules, meter, number: *number, contract_power_w, at, out });
        }
        out.push(silence(meter, rules, self.heard, None, at));
        out.push(Output::Sign(Sign { meter: meter.clone(), kind: FeederEventKind::Silent, since: self.heard, at }));
    }
}

fn silence(meter: &MeterId, rules: &Rules, since: UnixMillis, end: Option<UnixMillis>, at: UnixMillis) -> Output {
    let silent_ms = end.unwrap_or(at).millis_since(since) as f64;
    Output::Event(EventRecord::PowerQuality(QualityRecord {
        meter: meter.clone(),
        channel: 0,
        account: None,
        kind: QualityKind::Silent,
        method: QualityMethod::Heartbeat,
        start_ms: since,
        end_ms: end,
        duration_ms: end.map(|end| end.millis_since(since)),
        cut: false,
        threshold: rules.silence_ms as f64,
        hysteresis: 0.0,
        extreme: silent_ms,
        mean: silent_ms,
        unit: "ms".to_owned(),
        samples: 0,
        at_ms: at,
    }))
}
