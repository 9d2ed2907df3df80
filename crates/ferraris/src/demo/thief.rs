//! A feeder with a thief on it, days in moments: simulated meters, the analytics of the stream processor, and the truth beside what they say.
//!
//! Two weeks of learning do not fit into a demo, so this part runs in simulated time and past Kafka: the quarter hours go to the function that
//! the processor's analytics group runs on each partition, and what comes out is what that group would write to `alerts.v1`.

use contracts::AlertRecord;
use contracts::alerts::AlertState;
use fleet::feeder::{self, FeederConfig, HOUSES, Theft, TheftKind};
use measure::{FeederId, MeterId, UnixMillis};
use serde::Serialize;
use stream_processor::analytics::partition::{Output, Partition};
use stream_processor::balance::topology::Feeder;
use stream_processor::metrics::Metrics;

const DAY_MS: i64 = 86_400_000;
const QUARTER_MS: i64 = 900_000;
/// The processor's defaults.
const SETTLE_MS: i64 = 7_200_000;
const STORM_MS: i64 = 60_000;
/// Two weeks to learn, a day in peace, and then the theft.
const FROM_DAY: usize = 15;
const DAYS: usize = 21;
/// The share of the house's energy that its meter goes on to register.
const REGISTERED: f64 = 0.4;

/// What was said of the feeder, and what is true.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Who steals.
    pub thief: MeterId,
    /// Whom the first alert that names a meter names.
    pub named: Option<MeterId>,
    /// Days from the beginning of the theft to that.
    pub days: Option<f64>,
    /// Whether the two are the same.
    pub agrees: bool,
    /// Alerts before the theft began: false ones.
    pub false_alarms: usize,
}

/// Lets the days pass, and tells `news` what the analytics raise. The same seed gives the same feeder and thief.
pub fn run(seed: u64, news: impl Fn(String)) -> anyhow::Result<Trial> {
    let id: FeederId = "F1".parse()?;
    let house = usize::try_from(seed.wrapping_mul(7))?.checked_rem(HOUSES).unwrap_or_default();
    let thief = feeder::house_meter(&id, house)?;
    let theft = Some(Theft { kind: TheftKind::Scaled(REGISTERED), house, from_day: FROM_DAY });
    let quarters = feeder::simulate(seed, &FeederConfig { days: DAYS, stress: false, theft });
    let mut partition = Partition::new(SETTLE_MS, STORM_MS, Metrics::new());
    partition.topology(0, UnixMillis(0), &id, Some(Feeder::of(feeder::topology(&id)?)?), &mut Vec::new());
    news(format!(
        "feeder {id}, simulated, days in moments: {HOUSES} houses and a line-side meter; one house steals from day {FROM_DAY} on"
    ));
    let mut trial = Trial { thief, named: None, days: None, agrees: false, false_alarms: 0 };
    let (mut out, mut offset) = (Vec::new(), 0_i64);
    for (quarter, number) in quarters.iter().zip(0_i64..) {
        let start = UnixMillis(number.saturating_mul(QUARTER_MS));
        for record in feeder::records(&id, start, quarter)? {
            partition.interval(offset, start, &record, &mut out);
            offset = offset.saturating_add(1);
        }
        for output in out.drain(..) {
            if let Output::Alert(alert) = output
                && alert.state == AlertState::Raised
            {
                trial.hear(&alert);
                news(told(&alert));
            }
        }
    }
    Ok(trial)
}

impl Trial {
    fn hear(&mut self, alert: &AlertRecord) {
        let day = day(alert.detected_ms);
        if day < FROM_DAY as f64 {
            self.false_alarms = self.false_alarms.saturating_add(1);
        } else if self.named.is_none()
            && let Some(meter) = &alert.meter
        {
            self.agrees = *meter == self.thief;
            (self.named, self.days) = (Some(meter.clone()), Some(day - FROM_DAY as f64));
        }
    }
}

/// An alert with what it rests on.
fn told(alert: &AlertRecord) -> String {
    let AlertRecord { rule, statistic, threshold, unit, feeder, .. } = alert;
    let place = alert.meter.as_ref().map_or_else(|| format!("feeder {feeder}"), |meter| format!("meter {meter}"));
    let missing = alert.missing_current_a.map_or_else(String::new, |amperes| format!(", {amperes:.1} A missing"));
    let last: Vec<String> = alert.evidence.iter().rev().take(3).rev().map(|it| format!("{:.1}", it.value)).collect();
    let (day, delay) = (day(alert.detected_ms), alert.delay_ms as f64 / DAY_MS as f64);
    format!(
        "simulated day {day:.1}: ALERT {rule}, {place}: {statistic:.1} {unit} (limit {threshold}){missing}; began {delay:.1} days before; evidence … {}",
        last.join(", ")
    )
}

fn day(at: UnixMillis) -> f64 {
    at.0 as f64 / DAY_MS as f64
}

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { thief, named, days, agrees, false_alarms } = self;
        let truth = if *agrees { "the ground truth agrees" } else { "the ground truth does NOT agree" };
        match (named, days) {
            (Some(named), Some(days)) => {
                let named = named.as_str();
                write!(f, "thief          {named:>8}  named {days:.1} simulated days after the theft began; {truth}")?;
            }
            _ => write!(f, "thief          nobody was named; it is {thief}")?,
        }
        write!(f, "; {false_alarms} false alarms")
    }
}
