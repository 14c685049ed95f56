//! Whether a message was ever written, agreed between its caller, who may stop waiting, and the task that writes.
//!
//! What must stay true: a message whose caller was told "not sent" is never written afterwards.

use std::sync::atomic::{AtomicU8, Ordering};

const WAITING: u8 = 0;
const WRITTEN: u8 = 1;
const ABANDONED: u8 = 2;

/// What became of one message so far.
#[derive(Debug, Default)]
pub(crate) struct Fate(AtomicU8);

impl Fate {
    /// Before writing it: whether that may still happen.
    pub(crate) fn write(&self) -> bool {
        let write = |fate| (fate != ABANDONED).then_some(WRITTEN);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, write).is_ok()
    }

    /// The node said that it did nothing with it: as if it had not been written.
    pub(crate) fn unwrite(&self) {
        let _ = self.0.compare_exchange(WRITTEN, WAITING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The caller stops waiting. Returns whether it was written.
    pub(crate) fn abandon(&self) -> bool {
        self.0.swap(ABANDONED, Ordering::AcqRel) == WRITTEN
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::Acquire) == ABANDONED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_was_abandoned_is_not_written() {
        let fate = Fate::default();
        assert!(!fate.abandon());
        assert!(!fate.write());
        fate.unwrite();
        assert!(fate.is_abandoned());
    }

    #[test]
    fn what_was_written_may_be_written_again_until_it_is_abandoned() {
        let fate = Fate::default();
        assert!(fate.write() && fate.write());
        assert!(fate.abandon());
        assert!(!fate.write());
        let refused = Fate::default();
        refused.write();
        refused.unwrite();
        assert!(!refused.abandon(), "the node did nothing with it");
    }

    #[test]
    fn caller_and_task_never_both_win() {
        for _ in 0..2_000 {
            let fate = Arc::new(Fate::default());
            let writer = std::thread::spawn({
                let fate = Arc::clone(&fate);
                move || fate.write()
            });
            let was_written = fate.abandon();
            assert_eq!(writer.join().expect("it only writes"), was_written);
        }
    }
}
