//! How registers advanced in a gap, by the shape of other days: whole numbers, whose sum is the advance.

use measure::UnixMillis;

/// Times, and how far import and export had advanced by then, in 0.01 Wh; straight lines in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Curve(Vec<(UnixMillis, [i64; 2])>);

impl Curve {
    /// From `from` on, with weights of the stretches up to each of those times, which grow. None if a register advanced that has no weight.
    pub fn new(from: UnixMillis, weights: Vec<(UnixMillis, [u128; 2])>, advance: [i64; 2]) -> Option<Self> {
        let mut sum = [0_u128; 2];
        let mut sums = vec![(from, sum)];
        for (at, weight) in weights {
            for (sum, weight) in sum.iter_mut().zip(weight) {
                *sum += weight;
            }
            sums.push((at, sum));
        }
        let total = sum;
        if advance.iter().zip(total).any(|(advance, total)| *advance != 0 && total == 0) {
            return None;
        }
        let share = |advance: i64, sum: u128, total: u128| {
            // An advance is 1e15 at most, a sum of a week 1e20: their product fits. It is no more than the advance.
            let part = u128::from(advance.unsigned_abs()) * sum / total.max(1);
            i64::try_from(part).unwrap_or(advance)
        };
        let [import, export] = advance;
        let [of_import, of_export] = total;
        let points = sums
            .into_iter()
            .map(|(at, [imported, exported])| (at, [share(import, imported, of_import), share(export, exported, of_export)]));
        Some(Self(points.collect()))
    }

    /// How far the registers had advanced at `at`.
    pub fn at(&self, at: UnixMillis) -> [i64; 2] {
        let place = self.0.partition_point(|(time, _)| *time <= at);
        let Some((from, before)) = place.checked_sub(1).and_then(|it| self.0.get(it)).copied() else { return [0; 2] };
        let Some((to, after)) = self.0.get(place).copied() else { return before };
        let (into, length) = (i128::from(at.millis_since(from)), i128::from(to.millis_since(from)));
        let [import, export] = before;
        let [import_after, export_after] = after;
        let line = |before: i64, after: i64| before + (i128::from(after - before) * into / length) as i64;
        [line(import, import_after), line(export, export_after)]
    }
}
