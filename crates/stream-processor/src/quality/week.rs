//! Ten-minute means of a week against EN 50160 for low voltage: 95 % of them within 10 % of the nominal voltage, all between 85 and 110 %.

use measure::UnixMillis;
use serde::{Deserialize, Serialize};

/// A week in ms.
pub const WEEK_MS: i64 = 7 * 86_400_000;
/// 1970-01-05, a Monday.
const MONDAY_MS: i64 = 4 * 86_400_000;

/// Voltages in mV between which ten-minute means are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// 90 % of the nominal voltage: 95 % of the means are not below.
    pub low: i64,
    /// 110 %: none is above.
    pub high: i64,
    /// 85 %: none is below.
    pub never: i64,
}

/// A week so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Week {
    /// Monday 00:00 UTC.
    pub start: UnixMillis,
    /// Means that count.
    pub means: u32,
    /// Of these: within 10 %.
    pub within: u32,
    /// Of these: below 85 or above 110 %.
    pub far_out: u32,
    /// The least of them, in mV.
    pub lowest: i64,
    /// The greatest, in mV.
    pub highest: i64,
}

impl Week {
    /// That a time lies in, with nothing in it.
    fn of(time: UnixMillis) -> Self {
        let start = UnixMillis(time.0 - MONDAY_MS).interval_start(WEEK_MS).saturating_add(MONDAY_MS);
        Self { start, means: 0, within: 0, far_out: 0, lowest: i64::MAX, highest: i64::MIN }
    }

    /// Takes the mean of the ten minutes from `start` on, in mV. What comes back is the week before, if one is over by that.
    pub fn add(this: &mut Option<Self>, band: &Band, start: UnixMillis, mean: i64) -> Option<Self> {
        let new = Self::of(start);
        let over = this.take_if(|it| it.start < new.start);
        let week = this.get_or_insert(new);
        week.means += 1;
        week.within += u32::from((band.low..=band.high).contains(&mean));
        week.far_out += u32::from(!(band.never..=band.high).contains(&mean));
        (week.lowest, week.highest) = (week.lowest.min(mean), week.highest.max(mean));
        over
    }

    /// Whether it is as the standard wants it.
    pub fn complies(&self) -> bool {
        u64::from(self.within) * 100 >= u64::from(self.means) * 95 && self.far_out == 0
    }
}
