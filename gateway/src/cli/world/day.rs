//! Days, and how busy their hours are.

use clap::ValueEnum;
use signalbox_protocol::timestamp;

const DAY_MS: u64 = 86_400_000;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Day {
    const WEEK: [(Self, &str); 7] = [
        (Self::Monday, "monday"),
        (Self::Tuesday, "tuesday"),
        (Self::Wednesday, "wednesday"),
        (Self::Thursday, "thursday"),
        (Self::Friday, "friday"),
        (Self::Saturday, "saturday"),
        (Self::Sunday, "sunday"),
    ];

    /// A weekday's name, or its first three letters, or a date.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let named = Self::WEEK.iter().find(|(_, name)| *name == lower || name[..3] == lower);
        if let Some((day, _)) = named {
            return Ok(*day);
        }
        // 1970-01-01 was a Thursday, the fourth of the week.
        let midnight = timestamp::parse(&format!("{text}T00:00:00Z"))
            .ok_or("it has to be a weekday, such as monday, or a date since 1970, such as 2026-11-23")?;
        Ok(Self::WEEK[((midnight / DAY_MS + 3) % 7) as usize].0)
    }

    /// How many passengers come, compared with a working day.
    fn share(self) -> f64 {
        match self {
            Self::Monday | Self::Tuesday | Self::Wednesday | Self::Thursday | Self::Friday => 1.0,
            Self::Saturday => 0.6,
            Self::Sunday => 0.4,
        }
    }
}

/// When passengers come, and which way they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Profile {
    /// To work: busiest from 7 to 9; two in three go towards the depot
    Morning,
    /// Home: busiest from 16 to 19; two in three come from the depot
    Evening,
    /// Both peaks of a working day; either way
    Commute,
    /// The same at every hour; either way
    Flat,
}

/// By the hour; 1 is the busiest.
const MORNING: [f64; 24] = [
    0.02, 0.02, 0.02, 0.02, 0.05, 0.2, 0.6, 1.0, 1.0, 0.6, 0.35, 0.3, 0.3, 0.25, 0.25, 0.25, 0.25, 0.25, 0.2,
    0.15, 0.1, 0.1, 0.05, 0.02,
];
const EVENING: [f64; 24] = [
    0.05, 0.02, 0.02, 0.02, 0.02, 0.05, 0.1, 0.2, 0.2, 0.2, 0.2, 0.25, 0.35, 0.3, 0.35, 0.6, 1.0, 1.0, 0.9,
    0.5, 0.35, 0.3, 0.2, 0.1,
];

impl Profile {
    /// How busy an hour (0 to 23) of a day is; 1 at the busiest of a working day.
    pub(super) fn weight(self, day: Day, hour: usize) -> f64 {
        let of_day = match self {
            Self::Morning => MORNING[hour],
            Self::Evening => EVENING[hour],
            Self::Commute => MORNING[hour].max(EVENING[hour]),
            Self::Flat => 1.0,
        };
        of_day * day.share()
    }

    /// Which part of the passengers goes towards the depot.
    pub(in crate::cli) fn inbound_share(self) -> f64 {
        match self {
            Self::Morning => 2.0 / 3.0,
            Self::Evening => 1.0 / 3.0,
            Self::Commute | Self::Flat => 0.5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_named_or_dated() {
        for (text, day) in [
            ("monday", Day::Monday),
            ("Sun", Day::Sunday),
            ("1970-01-01", Day::Thursday),
            ("2024-02-29", Day::Thursday),
            ("2026-11-21", Day::Saturday),
            ("2026-11-23", Day::Monday),
        ] {
            assert_eq!(Day::parse(text), Ok(day), "{text}");
        }
        for bad in ["", "mo", "someday", "2026-02-29", "1969-12-31", "23.11.2026"] {
            assert!(Day::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_busiest_hour_has_weight_one_and_none_has_zero() {
        for profile in Profile::value_variants() {
            let weights: Vec<f64> = (0..24).map(|hour| profile.weight(Day::Monday, hour)).collect();
            assert!(weights.iter().all(|weight| *weight > 0.0 && *weight <= 1.0), "{profile:?}");
            assert!(weights.contains(&1.0), "{profile:?}");
        }
        assert!(Profile::Flat.weight(Day::Sunday, 12) < Profile::Flat.weight(Day::Saturday, 12));
    }
}
