//! Latencies of the messages that met no hiccup.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::{Hiccups, Span, now_ns};
use crate::latency::Latencies;

/// A hiccup is written down when it is over, at most so long after a message came that met it on another core.
const WRITTEN_WITHIN_NS: u64 = 1_000_000_000;

/// What is measured of a run besides the latencies of all messages. It holds 16 bytes for each message of the last seconds.
#[derive(Debug)]
pub(crate) struct Undisturbed {
    /// What [`super::Watch`] writes, read so far.
    file: File,
    unread: Vec<u8>,
    hiccups: Hiccups,
    /// A moment by both clocks.
    began: Instant,
    began_ns: u64,
    /// Messages that may have met a hiccup that is not written down yet.
    waiting: Vec<Span>,
    latencies: Latencies,
}

impl Undisturbed {
    /// Of a run that began then; the hiccups are in this file.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn open(path: &Path, began: Instant) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            unread: Vec::new(),
            hiccups: Hiccups::default(),
            began,
            began_ns: now_ns().saturating_sub(nanoseconds(began.elapsed())),
            waiting: Vec::new(),
            latencies: Latencies::default(),
        })
    }

    /// A message that was due and came at these moments.
    pub(crate) fn heard(&mut self, due: Instant, at: Instant) {
        let ns = |moment: Instant| self.began_ns + nanoseconds(moment.saturating_duration_since(self.began));
        self.waiting.push(Span { from_ns: ns(due), to_ns: ns(at) });
    }

    /// Counts the messages whose hiccups are known; to be called each second or so.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        self.settle_until(now_ns().saturating_sub(WRITTEN_WITHIN_NS))
    }

    /// All latencies, when nothing more comes.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(crate) fn latencies(&mut self) -> io::Result<&Latencies> {
        self.settle_until(u64::MAX)?;
        Ok(&self.latencies)
    }

    fn settle_until(&mut self, until_ns: u64) -> io::Result<()> {
        self.read()?;
        let (hiccups, latencies) = (&self.hiccups, &mut self.latencies);
        self.waiting.retain(|message| {
            let settled = message.to_ns <= until_ns;
            if settled && !hiccups.met(*message) {
                latencies.record(Duration::from_nanos(message.ns()));
            }
            !settled
        });
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        self.file.read_to_end(&mut self.unread)?;
        let whole = self.unread.len() - self.unread.len() % Span::BYTES;
        self.hiccups.add(self.unread[..whole].chunks_exact(Span::BYTES).filter_map(Span::of_bytes));
        self.unread.drain(..whole);
        Ok(())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_met_a_hiccup_is_left_out_though_it_is_written_down_later() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let began = Instant::now();
        let mut undisturbed = Undisturbed::open(file.path(), began).unwrap();
        let ms = Duration::from_millis;
        for (due, at) in [(0, 1), (9, 12), (20, 35), (70, 71)] {
            undisturbed.heard(began + ms(due), began + ms(at));
        }
        undisturbed.settle().unwrap();
        assert_eq!(undisturbed.latencies.count(), 0, "they may have met what is not known yet");

        let began_ns = undisturbed.began_ns;
        let hiccup = |from: u64, to: u64| Span {
            from_ns: began_ns + from * 1_000_000,
            to_ns: began_ns + to * 1_000_000,
        };
        file.write_all(&hiccup(22, 30).to_bytes()).unwrap();
        let (first, rest) = (hiccup(10, 11).to_bytes(), hiccup(90, 99).to_bytes());
        file.write_all(&first[..5]).unwrap();
        undisturbed.read().unwrap();
        file.write_all(&[&first[5..], &rest].concat()).unwrap();
        let latencies = undisturbed.latencies().unwrap();
        assert_eq!(latencies.count(), 2, "the second and the third met one");
        assert!(latencies.max() < ms(2), "{:?}", latencies.max());
    }
}
