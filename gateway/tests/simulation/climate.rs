//! What may go wrong in a run, and how often.

use std::time::Duration;

use signalbox_registry::log::{LogSettings, Retention};

/// Small faults of every kind, each in per mille of its occasions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Commands to what the nodes share that never arrive, and answers that don't.
    pub(crate) commands_lost: u32,
    /// Messages that are stored only after whoever stored them was told that nobody knows.
    pub(crate) stored_late: u32,
    /// What one node does not hear of the bus.
    pub(crate) bus_lost: u32,
    /// What it hears late: stored messages in another order, all else behind what was sent before.
    pub(crate) bus_late: u32,
    /// Stored messages that it hears twice.
    pub(crate) bus_twice: u32,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    CommandLost,
    StoredLate,
    ParcelLost,
    ParcelUnheard,
    MessageUnheard,
    Late,
    Twice,
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CommandLost => "commands lost",
            Self::StoredLate => "stored late",
            Self::ParcelLost => "parcels lost",
            Self::ParcelUnheard => "parcels not heard",
            Self::MessageUnheard => "messages not heard",
            Self::Late => "late on the bus",
            Self::Twice => "messages heard twice",
        }
    }

    pub(crate) fn per_mille(self, faults: Faults) -> u32 {
        match self {
            Self::CommandLost => faults.commands_lost,
            Self::StoredLate => faults.stored_late,
            Self::ParcelLost | Self::ParcelUnheard | Self::MessageUnheard => faults.bus_lost,
            Self::Late => faults.bus_late,
            Self::Twice => faults.bus_twice,
        }
    }
}

/// Large faults, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// A node hears nothing for a while, and is told so afterwards.
    Deafness,
    /// A node reaches neither the bus nor anything else that is shared; for longer than a lease, now and then.
    Partition,
    /// A node stops in order, and another one starts.
    Restart,
    /// A node dies, and another one starts.
    Death,
    /// Everything that was stored is lost, as with a Redis that comes back empty.
    Oblivion,
}

/// The kinds of trouble of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Climate {
    pub(crate) faults: Faults,
    pub(crate) mishaps: &'static [Mishap],
    /// Logs keep little, and not for long.
    pub(crate) short_logs: bool,
}

const CALM: Climate = Climate {
    faults: Faults { commands_lost: 0, stored_late: 0, bus_lost: 0, bus_late: 0, bus_twice: 0 },
    mishaps: &[],
    short_logs: false,
};

/// The bus drops, delays and repeats.
pub(crate) const BAD_BUS: Climate = Climate {
    faults: Faults { bus_lost: 60, bus_late: 200, bus_twice: 60, ..CALM.faults },
    mishaps: &[Mishap::Deafness],
    ..CALM
};

/// Nobody knows what became of commands.
pub(crate) const LOST_ANSWERS: Climate =
    Climate { faults: Faults { commands_lost: 40, stored_late: 30, ..CALM.faults }, ..CALM };

/// Nodes are cut off, some until their leases are over.
pub(crate) const PARTITIONS: Climate = Climate { mishaps: &[Mishap::Partition], ..CALM };

/// Nodes come and go.
pub(crate) const MOVING: Climate = Climate { mishaps: &[Mishap::Restart, Mishap::Death], ..CALM };

/// Messages are lost for good, and have to be declared.
pub(crate) const FORGETFUL: Climate = Climate {
    faults: Faults { bus_lost: 60, ..CALM.faults },
    mishaps: &[Mishap::Oblivion, Mishap::Partition, Mishap::Restart],
    short_logs: true,
};

/// All of it but losses for good.
pub(crate) const STORM: Climate = Climate {
    faults: Faults { commands_lost: 20, stored_late: 10, bus_lost: 30, bus_late: 100, bus_twice: 30 },
    mishaps: &[Mishap::Deafness, Mishap::Partition, Mishap::Restart, Mishap::Death],
    short_logs: false,
};

impl Climate {
    pub(crate) fn log_settings(&self) -> LogSettings {
        let short = Retention { messages_max: 6, age: Duration::from_secs(20), ..Retention::default() };
        LogSettings {
            others: if self.short_logs { short } else { Retention::default() },
            ..LogSettings::default()
        }
    }

    /// Whether a stored message may ever be gone.
    pub(crate) fn forgets(&self) -> bool {
        self.short_logs || self.mishaps.contains(&Mishap::Oblivion)
    }
}
