//! A symmetric matrix in the shape of the states' covariance.
//!
//! Four states know of each other and are what is measured, the core. A fifth, the follower, is correlated with them. The sixth is alone. So
//! there is nothing to keep beyond the core's rows, the follower's and two variances; and a row of the core is a vector of four numbers, which a
//! vector unit handles at once. For that both of a pair of the core's entries are kept. Roundings set them apart, and [`Symmetric::pair`] brings
//! them together again: to keep them equal all the time costs more than to have both.

use core::ops::Index;

use crate::Real;
use crate::filter::{Support, dot};

/// Dimension of the state.
pub const STATES: usize = CORE + 2;
/// States of the core, the first ones.
pub const CORE: usize = 4;
/// The state that is correlated with the core.
pub const FOLLOWER: usize = 4;
/// The state that is correlated with nothing.
pub const LONER: usize = 5;

/// A number for each state of the core.
pub type Lanes<F> = [F; CORE];

/// Each by its index.
#[inline(always)]
pub fn lanes<F>(lane: impl Fn(usize) -> F) -> Lanes<F> {
    [lane(0), lane(1), lane(2), lane(3)]
}

/// A number for each state but the loner: a column of a covariance, or a sum of them.
#[derive(Clone, Copy, Debug)]
pub struct Shadow<F> {
    /// Of the core's states.
    pub core: Lanes<F>,
    /// Of the follower.
    pub follower: F,
}

impl<F: Real> Shadow<F> {
    /// Inner product with a row over a support that is not empty.
    #[inline(always)]
    pub fn dot<const SUPPORT: Support>(&self, row: &[F; STATES]) -> F {
        let [a, b, c, d] = self.core;
        dot::<SUPPORT, F>(&[a, b, c, d, self.follower, F::ZERO], row)
    }

    /// So many times as long.
    #[inline(always)]
    pub fn times(&self, factor: F) -> Self {
        Self { core: F::times(self.core, factor), follower: self.follower * factor }
    }

    /// Without so many times another one.
    #[inline(always)]
    pub fn less(&self, factor: F, other: &Self) -> Self {
        Self { core: F::less(self.core, factor, other.core), follower: self.follower - factor * other.follower }
    }

    /// Adds so many times this to a mean.
    #[inline(always)]
    pub fn shift(&self, mean: &mut [F; STATES], factor: F) {
        let [a, b, c, d, follower, loner] = *mean;
        let [a, b, c, d] = F::plus([a, b, c, d], factor, self.core);
        *mean = [a, b, c, d, follower + self.follower * factor, loner];
    }
}

/// A symmetric matrix of the state's dimension. `m[(i, j)]` and `m[(j, i)]` are the same entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Symmetric<F> {
    /// Rows of the core.
    pub core: [Lanes<F>; CORE],
    /// The follower's row as far as the core goes.
    pub follower: Lanes<F>,
    /// The follower's own entry.
    pub follower_own: F,
    /// The loner's own entry.
    pub loner_own: F,
    /// What the loner has with others: 0.
    nothing: F,
}

impl<F: Real> Symmetric<F> {
    /// Nothing but a diagonal.
    #[inline(always)]
    pub fn diagonal(entries: [F; STATES]) -> Self {
        let mut matrix = Self {
            core: [[F::ZERO; CORE]; CORE],
            follower: [F::ZERO; CORE],
            follower_own: entries[FOLLOWER],
            loner_own: entries[LONER],
            nothing: F::ZERO,
        };
        for i in 0..CORE {
            matrix.core[i][i] = entries[i];
        }
        matrix
    }

    /// Replaces an entry and the one opposite. What the loner has with others can't be replaced.
    #[inline(always)]
    pub fn set(&mut self, i: usize, j: usize, entry: F) {
        match (i.max(j), i.min(j)) {
            (row, column) if row < CORE => {
                self.core[row][column] = entry;
                self.core[column][row] = entry;
            }
            (FOLLOWER, FOLLOWER) => self.follower_own = entry,
            (FOLLOWER, column) => self.follower[column] = entry,
            (LONER, LONER) => self.loner_own = entry,
            _ => {}
        }
    }

    /// Subtracts `a bᵀ`, which is symmetric but for roundings, from all but the loner's.
    #[inline(always)]
    pub fn subtract(&mut self, a: &Shadow<F>, b: &Shadow<F>) {
        for i in 0..CORE {
            self.core[i] = F::less(self.core[i], a.core[i], b.core);
        }
        self.follower = F::less(self.follower, a.follower, b.core);
        self.follower_own -= a.follower * b.follower;
    }

    /// Makes both of a pair the same. Out of line: where a compiler knows that they are, it computes each pair's next value once, number by
    /// number, and rows of four are none any more.
    #[inline(never)]
    pub fn pair(&mut self) {
        let lower = self.core;
        for i in 0..CORE {
            self.core[i] = lanes(|j| lower[i.max(j)][i.min(j)]);
        }
    }

    /// Replaces each entry, both of a pair by the same.
    pub fn map(&mut self, change: impl Fn(F) -> F) {
        self.pair();
        for row in &mut self.core {
            *row = lanes(|j| change(row[j]));
        }
        self.follower = lanes(|j| change(self.follower[j]));
        self.follower_own = change(self.follower_own);
        self.loner_own = change(self.loner_own);
    }
}

impl<F> Index<(usize, usize)> for Symmetric<F> {
    type Output = F;

    #[inline(always)]
    fn index(&self, (i, j): (usize, usize)) -> &F {
        match (i.max(j), i.min(j)) {
            (row, column) if row < CORE => &self.core[row][column],
            (FOLLOWER, FOLLOWER) => &self.follower_own,
            (FOLLOWER, column) => &self.follower[column],
            (LONER, LONER) => &self.loner_own,
            _ => &self.nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_from_both_sides_and_nothing_else_is() {
        let entry = |i: usize, j: usize| (10 * i.max(j) + i.min(j) + 1) as f64;
        let mut matrix = Symmetric::<f64>::diagonal([0.0; STATES]);
        for i in 0..STATES {
            for j in 0..=i {
                matrix.set(i, j, entry(i, j));
            }
        }
        for i in 0..STATES {
            for j in 0..STATES {
                let alone = (i == LONER) != (j == LONER);
                assert_eq!(matrix[(i, j)], if alone { 0.0 } else { entry(i, j) }, "{i} {j}");
            }
        }
        matrix.set(1, 3, -1.0);
        assert_eq!((matrix[(3, 1)], matrix[(1, 3)], matrix[(3, 2)]), (-1.0, -1.0, 33.0));
        assert_eq!((matrix.core[3][1], matrix.core[1][3]), (-1.0, -1.0));
    }

    #[test]
    fn a_diagonal_is_one_and_all_of_a_matrix_is_mapped() {
        let mut matrix = Symmetric::<f64>::diagonal([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        matrix.core[0][3] = 10.0;
        matrix.map(|entry| 2.0 * entry + 1.0);
        assert_eq!((matrix.core[0][3], matrix.core[3][0]), (1.0, 1.0), "what roundings set apart");
        for i in 0..STATES {
            for j in 0..STATES {
                let own = 2.0 * (i as f64 + 1.0) + 1.0;
                let alone = (i == LONER) != (j == LONER);
                assert_eq!(
                    matrix[(i, j)],
                    if i == j {
                        own
                    } else if alone {
                        0.0
                    } else {
                        1.0
                    },
                    "{i} {j}"
                );
            }
        }
    }
}
