//! A symmetric matrix, stored once: the lower triangle by rows.

use core::ops::{Index, IndexMut};

use crate::Real;
use crate::filter::STATES;

const ENTRIES: usize = STATES * (STATES + 1) / 2;

/// A symmetric matrix of the state's dimension. `m[(i, j)]` and `m[(j, i)]` are the same entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Symmetric<F>([F; ENTRIES]);

impl<F: Real> Symmetric<F> {
    /// Nothing but a diagonal.
    #[inline(always)]
    pub fn diagonal(entries: [F; STATES]) -> Self {
        let mut matrix = Self([F::ZERO; ENTRIES]);
        for i in 0..STATES {
            matrix[(i, i)] = entries[i];
        }
        matrix
    }

    /// Each entry by its row and column, the column never beyond the row.
    pub fn from_fn(entry: impl Fn(usize, usize) -> F) -> Self {
        let mut matrix = Self([F::ZERO; ENTRIES]);
        for i in 0..STATES {
            for j in 0..=i {
                matrix[(i, j)] = entry(i, j);
            }
        }
        matrix
    }

    /// Replaces each entry.
    #[inline(always)]
    pub fn map(&mut self, change: impl Fn(F) -> F) {
        for entry in &mut self.0 {
            *entry = change(*entry);
        }
    }
}

/// Known when this is compiled wherever row and column are.
#[inline(always)]
const fn place((i, j): (usize, usize)) -> usize {
    if i >= j { i * (i + 1) / 2 + j } else { j * (j + 1) / 2 + i }
}

impl<F> Index<(usize, usize)> for Symmetric<F> {
    type Output = F;

    #[inline(always)]
    fn index(&self, at: (usize, usize)) -> &F {
        &self.0[place(at)]
    }
}

impl<F> IndexMut<(usize, usize)> for Symmetric<F> {
    #[inline(always)]
    fn index_mut(&mut self, at: (usize, usize)) -> &mut F {
        &mut self.0[place(at)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_from_both_sides_and_nothing_else_is() {
        let mut matrix = Symmetric::<f64>::from_fn(|i, j| (10 * i + j) as f64);
        for i in 0..STATES {
            for j in 0..STATES {
                assert_eq!(matrix[(i, j)], (10 * i.max(j) + i.min(j)) as f64);
            }
        }
        matrix[(1, 4)] = -1.0;
        assert_eq!(matrix[(4, 1)], -1.0);
        assert_eq!(matrix[(4, 2)], 42.0);
    }
}
