//! Standing in line for a lock.
