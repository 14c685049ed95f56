//! The scripts. Each is one step that nothing can come between, in the slot of one tenant's fleet; those that
//! change a fleet begin with `change.lua`, behind what appends to logs.

use signalbox_registry::redis::Script;

/// A script that changes a fleet.
#[derive(Debug)]
pub(super) struct Change {
    alone: Script,
    noting: Script,
}

impl Change {
    /// The script that also leaves a line in the outbox of each change of a passenger, or the one that does not.
    pub(super) fn noting(&'static self, noting: bool) -> &'static Script {
        if noting { &self.noting } else { &self.alone }
    }
}

macro_rules! change {
    ($file:literal) => {
        Change {
            alone: Script::appending(
                "local noted = false
",
                concat!(include_str!("scripts/change.lua"), include_str!($file)),
            ),
            noting: Script::appending(
                "local noted = true
",
                concat!(include_str!("scripts/change.lua"), include_str!($file)),
            ),
        }
    };
}

/// Takes passengers in.
pub(super) static PUSH: Change = change!("scripts/push.lua");
/// Boards a passenger.
pub(super) static BOARD: Change = change!("scripts/board.lua");
/// Undoes a boarding.
pub(super) static UNDO_BOARD: Change = change!("scripts/undo_board.lua");
/// Drops a passenger off.
pub(super) static ALIGHT: Change = change!("scripts/alight.lua");
/// Cancels a passenger who waits.
pub(super) static CANCEL: Change = change!("scripts/cancel.lua");
/// Cancels some of those who wait in a pool.
pub(super) static CANCEL_SOME: Change = change!("scripts/cancel_some.lua");
/// Ends waits that are over, and forgets those whose end is past.
pub(super) static EXPIRE: Change = change!("scripts/expire.lua");
/// Writes a vehicle.
pub(super) static PUT_VEHICLE: Change = change!("scripts/put_vehicle.lua");
/// Reads a vehicle and who is on board.
pub(super) static VEHICLE: Script = Script::new(include_str!("scripts/vehicle.lua"));
/// Reads passengers by id.
pub(super) static LIST: Script = Script::new(include_str!("scripts/list.lua"));
/// Puts a fleet on the list of those to look at: on the list of fleets.
pub(super) static FLEETS_NOTE: Script = Script::new(include_str!("scripts/fleets_note.lua"));
/// Takes fleets that want to be looked at: on the list of fleets.
pub(super) static FLEETS_DUE: Script = Script::new(include_str!("scripts/fleets_due.lua"));

#[cfg(test)]
mod tests {
    use super::*;

    static CHANGES: [&Change; 8] =
        [&PUSH, &BOARD, &UNDO_BOARD, &ALIGHT, &CANCEL, &CANCEL_SOME, &EXPIRE, &PUT_VEHICLE];

    #[test]
    fn every_key_of_a_script_is_the_fleet_s() {
        let mut all = vec![&VEHICLE, &LIST, &FLEETS_NOTE, &FLEETS_DUE];
        all.extend(CHANGES.iter().map(|change| change.noting(true)));
        // Variables of the scripts that hold such names; the logs' are those of the pools.
        let named = [
            "base",
            "ids",
            "list",
            "key",
            "unpack(records",
            "records[written]",
            "records[at]",
            "on_board",
            "due",
            "index",
            "vehicle",
        ];
        for script in all {
            for call in script.text().split("redis.call(").skip(1) {
                let mut args = call.split([',', ')']).map(str::trim);
                let (command, key) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
                let known = key.starts_with("KEYS[1]") || key.starts_with("fleet ..");
                let by_name = named.iter().any(|name| key == *name || key.starts_with(&format!("{name} ..")));
                assert!(
                    matches!(command, "'TIME'" | "'INFO'" | "'PUBSUB'") || known || by_name,
                    "{command} on {key}"
                );
            }
        }
    }

    #[test]
    fn what_changes_a_fleet_has_a_deadline() {
        for script in CHANGES.iter().flat_map(|change| [true, false].map(|noting| change.noting(noting))) {
            assert!(script.text().contains("if now > tonumber(ARGV[1]) then return { 'late' } end"));
        }
    }
}
