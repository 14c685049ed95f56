//! Instants as text. They come in as milliseconds since 1970 (UTC); nobody here asks a clock.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The last instant with a four-digit year, 9999-12-31T23:59:59.999Z. Later ones are written as this one.
const LATEST_MS: u64 = 253_402_300_799_999;

const DAY_MS: u64 = 86_400_000;

/// Where the seconds of a date-time end.
const SECONDS_END: usize = 19;

/// More characters than any sensible RFC 3339 date-time has; a longer one is refused.
const RFC3339_CHARS_MAX: usize = 64;

/// Appends `ms` since 1970 as `2026-01-01T08:00:00.000Z`.
pub fn write_iso8601(out: &mut Vec<u8>, ms: u64) {
    let ms = ms.min(LATEST_MS);
    let (year, month, day) = civil_from_days(ms / DAY_MS);
    let of_day = ms % DAY_MS;
    for (number, digits, after) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (of_day / 3_600_000, 2, b':'),
        (of_day / 60_000 % 60, 2, b':'),
        (of_day / 1_000 % 60, 2, b'.'),
        (of_day % 1_000, 3, b'Z'),
    ] {
        write_digits(out, number, digits);
        out.push(after);
    }
}

/// `ms` since 1970 as `2026-01-01T08:00:00.000Z`.
pub fn to_string(ms: u64) -> String {
    let mut out = Vec::with_capacity(24);
    write_iso8601(&mut out, ms);
    String::from_utf8(out).expect("digits and separators are ASCII")
}

/// Whether `text` is a date-time of RFC 3339, section 5.6: date, `T`, time, optional fraction, and a
/// zone, which is `Z` or `+hh:mm`. Checks the calendar too; allows the leap second `:60`.
pub fn is_rfc3339(text: &str) -> bool {
    let Some((date_time, rest)) = text.as_bytes().split_at_checked(SECONDS_END) else { return false };
    text.len() <= RFC3339_CHARS_MAX && is_date_time(date_time) && after_fraction(rest).is_some_and(is_zone)
}

/// Year, month and day of the day that is `days` after 1970-01-01.
///
/// Howard Hinnant's `civil_from_days` for days that are not negative: years start in March, so that
/// the leap day is the last of its year, and 400 years (146,097 days) form an era.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The instant that an RFC 3339 text tells, in milliseconds since 1970; `None` if it is none, or one before
/// 1970. Digits after the milliseconds are cut off, and a leap second counts as the second after it.
pub fn parse(text: &str) -> Option<u64> {
    if !is_rfc3339(text) {
        return None;
    }
    let text = text.as_bytes();
    let (seconds, rest) = text.split_at(SECONDS_END);
    let fraction = rest.strip_prefix(b".").unwrap_or_default();
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit());
    let millis = digits.chain(b"000").take(3).fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
    let at = |range: std::ops::Range<usize>| i64::from(number(&seconds[range]));
    let days = days_since_1970(at(0..4), at(5..7), at(8..10));
    let local = ((days * 24 + at(11..13)) * 60 + at(14..16)) * 60 + at(17..19);
    u64::try_from((local - zone_seconds(text)) * 1_000 + millis).ok()
}

/// Seconds by which a checked text's clock is ahead of UTC.
fn zone_seconds(text: &[u8]) -> i64 {
    let [.., sign @ (b'+' | b'-'), h, o, b':', m, n] = text else { return 0 };
    let seconds = i64::from(number(&[*h, *o]) * 60 + number(&[*m, *n])) * 60;
    if *sign == b'-' { -seconds } else { seconds }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; the year is counted from March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// An instant as it stands in payloads: RFC 3339 text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(
    /// Milliseconds since 1970.
    pub u64,
);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_string(self.0))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let invalid = || serde::de::Error::custom("an instant is written as 2026-01-01T08:00:00.000Z");
        parse(&text).map(Self).ok_or_else(invalid)
    }
}

fn write_digits(out: &mut Vec<u8>, mut number: u64, digits: usize) {
    let start = out.len();
    out.resize(start + digits, b'0');
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn is_date_time(text: &[u8]) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let fits = |(&byte, &shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        b'T' => byte.eq_ignore_ascii_case(&b'T'),
        _ => byte == shape,
    };
    if !text.iter().zip(SHAPE).all(fits) {
        return false;
    }
    let [year, month, day] = [&text[0..4], &text[5..7], &text[8..10]].map(number);
    let [hour, minute, second] = [&text[11..13], &text[14..16], &text[17..19]].map(number);
    (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60
}

fn days_of_month(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What follows the fraction of the second, if there is one; `None` if it has no digit.
fn after_fraction(text: &[u8]) -> Option<&[u8]> {
    let Some(fraction) = text.strip_prefix(b".") else { return Some(text) };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| &fraction[digits..])
}

fn is_zone(text: &[u8]) -> bool {
    match text {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', hours @ .., b':', m, n] if hours.len() == 2 => {
            let all_digits = hours.iter().chain([m, n]).all(u8::is_ascii_digit);
            all_digits && number(hours) <= 23 && number(&[*m, *n]) <= 59
        }
        _ => false,
    }
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_are_written_in_utc_with_milliseconds() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_767_254_400_007, "2026-01-01T08:00:00.007Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), // 2100 has no leap day
            (4_107_456_000_000, "2100-02-28T00:00:00.000Z"),
            (LATEST_MS, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(to_string(ms), text);
        }
    }

    #[test]
    fn what_is_written_reads_back_and_zones_count() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T00:00:00.000Z", Some(951_782_400_000)),
            ("2026-01-01T08:00:00.0079Z", Some(1_767_254_400_007)),
            ("2026-01-01T08:00:00.1Z", Some(1_767_254_400_100)),
            ("2026-01-01T13:30:00+05:30", Some(1_767_254_400_000)),
            ("2025-12-31T23:30:00.5-08:30", Some(1_767_254_400_500)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-02-30T00:00:00Z", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse(text), ms, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_reads_back(ms in 0..=LATEST_MS) {
            prop_assert_eq!(parse(&to_string(ms)), Some(ms));
        }
    }

    #[test]
    fn rfc_3339_is_told_from_what_only_looks_like_it() {
        for good in [
            "2026-01-01T08:00:00Z",
            "2026-01-01t08:00:00z",
            "2026-01-01T08:00:00.1Z",
            "2026-01-01T08:00:00.123456789+05:30",
            "2026-01-01T08:00:00-00:00",
            "2016-12-31T23:59:60Z",
            "2024-02-29T00:00:00Z",
            "2000-02-29T00:00:00Z",
            "0000-01-01T00:00:00Z",
        ] {
            assert!(is_rfc3339(good), "{good}");
        }
        let endless = format!("2026-01-01T08:00:00.{}Z", "1".repeat(60));
        for bad in [
            "",
            "now",
            "2026-01-01",
            "2026-01-01T08:00:00",
            "2026-01-01 08:00:00Z",
            "2026-01-01T08:00Z",
            "2026-01-01T08:00:00.Z",
            "2026-01-01T08:00:00+0530",
            "2026-01-01T08:00:00+05",
            "2026-01-01T08:00:00+24:00",
            "2026-01-01T08:00:00+05:60",
            "2026-01-01T08:00:00+-5:30",
            "2026-13-01T08:00:00Z",
            "2026-00-01T08:00:00Z",
            "2026-02-29T08:00:00Z",
            "2100-02-29T08:00:00Z",
            "2026-04-31T08:00:00Z",
            "2026-01-00T08:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T08:60:00Z",
            "2026-01-01T08:00:61Z",
            "+026-01-01T08:00:00Z",
            "2026-01-01T08:00:00Zjunk",
            "2026-01-01T08:00:0éZ",
            &endless,
        ] {
            assert!(!is_rfc3339(bad), "{bad}");
        }
    }

    /// The slow and obvious way: walk year by year, then month by month.
    fn date_by_walking(mut days: u64) -> (u64, u64, u64) {
        let mut year = 1970;
        loop {
            let of_year = (1..=12).map(|month| u64::from(days_of_month(year, month))).sum();
            if days < of_year {
                break;
            }
            days -= of_year;
            year += 1;
        }
        let mut month = 1;
        while days >= u64::from(days_of_month(year, month)) {
            days -= u64::from(days_of_month(year, month));
            month += 1;
        }
        (year.into(), month.into(), days + 1)
    }

    proptest! {
        #[test]
        fn arithmetic_agrees_with_walking(ms in 0..=LATEST_MS) {
            let (year, month, day) = date_by_walking(ms / DAY_MS);
            let seconds = ms % DAY_MS / 1_000;
            let expected = format!(
                "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
                seconds / 3_600, seconds / 60 % 60, seconds % 60, ms % 1_000
            );
            prop_assert_eq!(to_string(ms), expected);
        }

        #[test]
        fn what_is_written_is_rfc_3339(ms in any::<u64>()) {
            prop_assert!(is_rfc3339(&to_string(ms)));
        }

        #[test]
        fn any_text_is_judged_without_panic(text in any::<String>(), near in "[0-9TZtz:+.-]{15,30}") {
            is_rfc3339(&text);
            is_rfc3339(&near);
        }
    }
}
