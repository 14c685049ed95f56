//! Locking what stays whole when a holder panics: plain tables that no code outside is called under.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whether or not a holder before panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
