//! The scripts of the outbox, in the slot of one tenant's fleet.

use signalbox_registry::redis::Script;

/// Puts lines down for passengers who have none.
pub(super) static NOTE: Script = Script::new(include_str!("scripts/note.lua"));
/// Puts a push down.
pub(super) static BEGIN: Script = Script::new(include_str!("scripts/begin.lua"));
/// Strikes a push out.
pub(super) static END: Script = Script::new(include_str!("scripts/end.lua"));
/// Changes by when a push is over.
pub(super) static OVER: Script = Script::new(include_str!("scripts/over.lua"));
/// Takes or keeps the worker's place, and reads what there is to do.
pub(super) static WORK: Script = Script::new(include_str!("scripts/work.lua"));
/// Strikes a line out.
pub(super) static STRIKE: Script = Script::new(include_str!("scripts/strike.lua"));
