//! Maximum demand of a day: by blocks, and by fifteen minutes that slide by one.
//!
//! Only what was measured without a gap counts: nobody is billed for an estimated peak. What was measured never changes any more, so the
//! maxima don't depend on the order in which late readings complete it.

use measure::{UnixMillis, Watts};

const MINUTE_MS: i64 = 60_000;
/// Minutes of the sliding demand.
const SLIDING: usize = 15;

/// The demand of a day so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Demand {
    /// Of blocks, with the block's length in ms.
    pub block: Option<Maximum>,
    /// Of sliding quarter hours.
    pub sliding: Option<Maximum>,
    /// Energies of the three highest blocks, in 0.01 Wh.
    highest: [i64; 3],
}

/// The energy of the highest period, in 0.01 Wh, and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Maximum {
    energy: i64,
    millis: i64,
    pub end: UnixMillis,
}

impl Maximum {
    /// Of a period of `millis`.
    pub fn new(energy: i64, millis: i64, end: UnixMillis) -> Self {
        Self { energy, millis, end }
    }

    /// Where the period began.
    pub fn start(&self) -> UnixMillis {
        self.end.saturating_add(-self.millis)
    }

    /// Mean power of the period; stays at the end of its range.
    pub fn power(&self) -> Watts {
        // 0.01 Wh in 36 s is 1 W.
        Watts::from_deciwatts(i32::try_from(self.energy * 360_000 / self.millis).unwrap_or(i32::MAX))
    }

    /// The higher one; of equals the earlier.
    fn or(self, other: Option<Self>) -> Option<Self> {
        Some(other.filter(|it| (it.energy, self.end) >= (self.energy, it.end)).unwrap_or(self))
    }
}

impl Demand {
    /// Takes a measured block.
    pub fn block(&mut self, it: Maximum) {
        self.block = it.or(self.block);
        let mut energy = it.energy;
        for place in &mut self.highest {
            if energy > *place {
                std::mem::swap(place, &mut energy);
            }
        }
    }

    /// Takes a measured sliding period.
    pub fn sliding(&mut self, it: Maximum) {
        self.sliding = it.or(self.sliding);
    }

    /// Whether the highest block is more than 180 % above the third highest.
    pub fn is_spiky(&self) -> bool {
        let [highest, _, third] = self.highest;
        third > 0 && highest * 10 > third * 28
    }
}

/// Measured minutes that sliding periods may still need, by time: number since 1970 and imported energy in 0.01 Wh.
#[derive(Clone, Debug, Default)]
pub(super) struct Minutes(Vec<(i32, i32)>);

impl Minutes {
    /// Takes a measured minute, and gives each sliding period that is whole with it.
    pub fn insert(&mut self, start: UnixMillis, energy: i64) -> impl Iterator<Item = Maximum> {
        // Both fit: minutes until the year 6053, and what 10 MW bring in one is 1e8 at most.
        let minute = i32::try_from(start.0.div_euclid(MINUTE_MS)).unwrap_or(i32::MAX);
        let energy = i32::try_from(energy).unwrap_or(i32::MAX);
        let place = self.0.partition_point(|it| it.0 < minute);
        self.0.insert(place, (minute, energy));
        // Every period that holds the new minute begins at most fourteen before it, in places and so in minutes.
        let around = self.0.get(place.saturating_sub(SLIDING - 1)..).unwrap_or_default();
        let periods = around.windows(SLIDING).take_while(move |it| it.first().is_some_and(|it| it.0 <= minute));
        periods.filter_map(|it| match it {
            [(first, _), .., (last, _)] if last - first == SLIDING as i32 - 1 => {
                let end = UnixMillis((i64::from(*last) + 1) * MINUTE_MS);
                Some(Maximum::new(it.iter().map(|it| i64::from(it.1)).sum(), SLIDING as i64 * MINUTE_MS, end))
            }
            _ => None,
        })
    }

    /// Forgets the minutes that no period needs any more: `is_open(from, to)` says whether that stretch has something yet to be measured.
    pub fn prune(&mut self, is_open: impl Fn(UnixMillis, UnixMillis) -> bool) {
        let reach = (SLIDING as i64 - 1) * MINUTE_MS;
        self.0.retain(|(minute, _)| {
            let start = UnixMillis(i64::from(*minute) * MINUTE_MS);
            is_open(start.saturating_add(-reach), start.saturating_add(reach + MINUTE_MS))
        });
    }

    /// Gives back the memory of minutes that were kept for a gap.
    pub fn shrink(&mut self) {
        self.0.shrink_to(SLIDING + 1);
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(i32, i32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sliding maximum of minutes that come in `order`.
    fn sliding(energies: &[i64], order: impl Iterator<Item = usize>) -> Option<Maximum> {
        let (mut minutes, mut demand) = (Minutes::default(), Demand::default());
        for minute in order {
            minutes.insert(UnixMillis(minute as i64 * MINUTE_MS), energies[minute]).for_each(|it| demand.sliding(it));
        }
        demand.sliding
    }

    #[test]
    fn the_order_of_minutes_makes_no_difference() {
        let energies: Vec<i64> = (0..60).map(|minute| (minute * 37) % 101).collect();
        let best = (0..=45).map(|start| energies[start..start + 15].iter().sum::<i64>()).max().unwrap();
        let forward = sliding(&energies, 0..60);
        assert_eq!(forward.unwrap().energy, best);
        assert_eq!(sliding(&energies, (0..60).rev()), forward);
        assert_eq!(sliding(&energies, (0..60).map(|it| it * 7 % 60)), forward);
    }

    #[test]
    fn a_missing_minute_leaves_out_the_periods_that_need_it() {
        let mut energies = vec![1; 40];
        energies[20] = 1_000;
        let without_20 = sliding(&energies, (0..40).filter(|it| *it != 20)).unwrap();
        assert_eq!((without_20.energy, without_20.end), (15, UnixMillis(15 * MINUTE_MS)));
    }

    #[test]
    fn the_highest_block_counts_and_of_equals_the_first() {
        let mut demand = Demand::default();
        for (energy, end) in [(100, 3), (200, 2), (200, 1), (150, 4)] {
            demand.block(Maximum::new(energy, 900_000, UnixMillis(end)));
        }
        let block = demand.block.unwrap();
        // 2 Wh in a quarter of an hour.
        assert_eq!((block.power(), block.end), (Watts::from_deciwatts(80), UnixMillis(1)));
        assert!(!demand.is_spiky());
        demand.block(Maximum::new(561, 900_000, UnixMillis(5)));
        assert!(demand.is_spiky() == (561 * 10 > 200 * 28), "three highest: 561, 200, 200");
    }
}
