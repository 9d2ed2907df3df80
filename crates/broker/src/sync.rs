//! Locks that a panic elsewhere doesn't take down with it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; what another thread left behind when it panicked is still consistent here, because every change under these locks is one
/// step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
