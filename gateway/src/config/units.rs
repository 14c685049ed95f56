//! How times and sizes are written in configuration: `"1m30s"`, `"1 MiB"`.
//!
//! Numbers without a unit are refused for times, since nobody agrees whether they are seconds.

use std::time::Duration;

const PERIOD_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const BYTE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// What a time looks like, for messages.
pub const PERIOD_EXAMPLES: &str = r#"a time such as "500ms", "25s", "1m30s" or "2h""#;
/// What a size looks like, for messages.
pub const BYTES_EXAMPLES: &str = r#"a number of bytes, or a size such as "512 B", "16 KiB" or "1 MiB""#;

/// Reads a time: whole numbers with `ms`, `s`, `m`, `h` or `d`, added up.
pub fn parse_period(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut millis = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let unit_bytes = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_bytes);
        let scale = scale_of(&PERIOD_UNITS, unit)?;
        millis = millis.checked_add(number.checked_mul(scale)?)?;
        rest = after.trim_start();
    }
    Some(Duration::from_millis(millis))
}

/// Writes a time in the largest unit that divides it, so that [`parse_period`] reads it back.
pub fn format_period(period: Duration) -> String {
    let millis = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
    match millis {
        0 => "0s".to_owned(),
        _ => in_largest_unit(&PERIOD_UNITS[..4], millis, ""),
    }
}

/// Reads a size: a whole number, alone or with `B`, `KiB`, `MiB` or `GiB`.
pub fn parse_bytes(text: &str) -> Option<usize> {
    let (number, unit) = split_number(text.trim())?;
    let scale = if unit.is_empty() { 1 } else { scale_of(&BYTE_UNITS, unit)? };
    usize::try_from(number.checked_mul(scale)?).ok()
}

/// Writes a size in the largest unit that divides it, so that [`parse_bytes`] reads it back.
pub fn format_bytes(bytes: usize) -> String {
    match bytes {
        0 => "0 B".to_owned(),
        _ => in_largest_unit(&BYTE_UNITS, bytes as u64, " "),
    }
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest.trim_start()))
}

fn scale_of(units: &[(&str, u64)], name: &str) -> Option<u64> {
    units.iter().find(|(unit, _)| *unit == name).map(|(_, scale)| *scale)
}

fn in_largest_unit(units: &[(&str, u64)], amount: u64, gap: &str) -> String {
    let largest = units.iter().rev().find(|(_, scale)| amount.is_multiple_of(*scale));
    let (unit, scale) = largest.expect("every amount is a multiple of the first unit, 1");
    format!("{}{gap}{unit}", amount / scale)
}

/// `#[serde(with = "period")]` for a [`Duration`] written as a time.
pub mod period {
    use std::fmt;
    use std::time::Duration;

    use serde::de::{Deserializer, Error, Unexpected, Visitor};
    use serde::ser::Serializer;

    struct PeriodText;

    impl Visitor<'_> for PeriodText {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(super::PERIOD_EXAMPLES)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            super::parse_period(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
        }
    }

    /// Reads a time.
    ///
    /// # Errors
    /// Whatever is no string that [`parse_period`](super::parse_period) takes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_str(PeriodText)
    }

    /// Writes a time.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(period: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_period(*period))
    }
}

/// `#[serde(with = "bytes")]` for a [`usize`] written as a size.
pub mod bytes {
    use std::fmt;

    use serde::de::{Deserializer, Error, Unexpected, Visitor};
    use serde::ser::Serializer;

    struct SizeText;

    impl Visitor<'_> for SizeText {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(super::BYTES_EXAMPLES)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
            super::parse_bytes(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
        }

        fn visit_i64<E: Error>(self, bytes: i64) -> Result<usize, E> {
            usize::try_from(bytes).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
        }

        fn visit_u64<E: Error>(self, bytes: u64) -> Result<usize, E> {
            usize::try_from(bytes).map_err(|_| E::invalid_value(Unexpected::Unsigned(bytes), &self))
        }
    }

    /// Reads a size.
    ///
    /// # Errors
    /// Whatever is neither a whole number nor a string that [`parse_bytes`](super::parse_bytes) takes.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_any(SizeText)
    }

    /// Writes a size.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(size: &usize, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_bytes(*size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("25s", 25_000),
            (" 25 s ", 25_000),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse_period(text), Some(Duration::from_millis(millis)), "{text:?}");
        }
        for bad in
            ["", "25", "s", "1.5s", "-1s", "25 parsecs", "25S", "1s 30", "99999999999999999999s", "1s,"]
        {
            assert_eq!(parse_period(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, size) in [
            ("0", 0),
            ("512", 512),
            ("512 B", 512),
            ("16KiB", 16_384),
            ("1 MiB", 1 << 20),
            ("2 GiB", 2 << 30),
        ] {
            assert_eq!(parse_bytes(text), Some(size), "{text:?}");
        }
        for bad in ["", "MiB", "1 MB", "1.5 MiB", "-1", "1 MiB 5", "99999999999 GiB"] {
            assert_eq!(parse_bytes(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for millis in [0, 1, 999, 1_000, 1_500, 60_000, 90_000, 3_600_000, 86_400_000] {
            let period = Duration::from_millis(millis);
            assert_eq!(parse_period(&format_period(period)), Some(period), "{}", format_period(period));
        }
        for size in [0, 1, 1023, 1024, 1025, 1 << 20, (1 << 20) + 1024, 3 << 30] {
            assert_eq!(parse_bytes(&format_bytes(size)), Some(size), "{}", format_bytes(size));
        }
        assert_eq!(format_period(Duration::from_secs(90)), "90s");
        assert_eq!(format_bytes(1 << 20), "1 MiB");
    }
}
