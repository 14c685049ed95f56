//! A bound that a figure has to keep: `latency_p99_us<420`, `latency_p99_us < 0.5ms`, `connects_per_second>=16k`.

use std::fmt;
use std::str::FromStr;

use super::number;

/// The units that a value may have.
const UNITS: [&str; 7] = ["", "us", "ms", "s", "KiB", "MiB", "k"];

/// What a figure has to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bound {
    figure: String,
    operator: Operator,
    /// In the figure's own unit.
    value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    AtMost,
    More,
    AtLeast,
}

/// Why a text is no bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoBound {
    #[error("a bound is FIGURE<VALUE, with <, <=, > or >=")]
    NoOperator,
    #[error("{0:?} is no number, nor one with us, ms, s, KiB, MiB or k behind it")]
    NoNumber(String),
    #[error("{figure} is not counted in {unit}")]
    WrongUnit { figure: String, unit: String },
}

/// What a figure counts, told by its name, e.g. `cpu_us_per_message`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Measure {
    /// In units of so many seconds.
    Time(f64),
    /// In units of so many bytes.
    Bytes(f64),
    /// Things, or things per second.
    Count,
}

impl Bound {
    /// What to say if the bound is broken, or if there is no such figure.
    pub(crate) fn broken(&self, figures: &[(&str, f64)]) -> Option<String> {
        let Some((_, found)) = figures.iter().find(|(name, _)| *name == self.figure) else {
            let names: Vec<&str> = figures.iter().map(|(name, _)| *name).collect();
            return Some(format!("no figure is called {:?}; there are: {}", self.figure, names.join(", ")));
        };
        let holds = self.operator.holds(*found, self.value);
        (!holds).then(|| format!("{} is {}, not {self}", self.figure, number(*found)))
    }
}

impl FromStr for Bound {
    type Err = NoBound;

    fn from_str(text: &str) -> Result<Self, NoBound> {
        let (figure, operator, value) = Operator::find(text).ok_or(NoBound::NoOperator)?;
        let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &value[digits.len()..];
        let number = digits.trim().parse::<f64>().ok().filter(|_| UNITS.contains(&unit));
        let number = number.ok_or_else(|| NoBound::NoNumber(value.to_owned()))?;
        let wrong = || NoBound::WrongUnit { figure: figure.to_owned(), unit: unit.to_owned() };
        let value = Measure::of(figure).convert(number, unit).ok_or_else(wrong)?;
        Ok(Self { figure: figure.to_owned(), operator, value })
    }
}

/// The operator and the value in the figure's own unit.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = Operator::ALL.iter().find(|(_, operator)| *operator == self.operator);
        write!(f, "{} {}", sign.map_or("", |(sign, _)| sign), number(self.value))
    }
}

impl Operator {
    /// The longer ones first, so that they are not taken for the shorter.
    const ALL: [(&str, Self); 4] =
        [("<=", Self::AtMost), (">=", Self::AtLeast), ("<", Self::Less), (">", Self::More)];

    /// The first one in `text`, and what stands before and behind it.
    fn find(text: &str) -> Option<(&str, Self, &str)> {
        let parts = Self::ALL.iter().find_map(|(sign, operator)| {
            text.split_once(sign).map(|(figure, value)| (figure.trim(), *operator, value.trim()))
        });
        parts.filter(|(figure, ..)| !figure.is_empty())
    }

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::More => left > right,
            Self::AtLeast => left >= right,
        }
    }
}

impl Measure {
    /// Of the figure with that name.
    fn of(figure: &str) -> Self {
        let mut words = figure.split(|c: char| !c.is_ascii_alphanumeric());
        let known = words.find_map(|word| match word {
            "us" => Some(Self::Time(1e-6)),
            "ms" => Some(Self::Time(1e-3)),
            "seconds" => Some(Self::Time(1.0)),
            "bytes" => Some(Self::Bytes(1.0)),
            "MiB" => Some(Self::Bytes(1024.0 * 1024.0)),
            _ => None,
        });
        known.unwrap_or(Self::Count)
    }

    /// So many of this unit, counted in the figure's; `None` if they do not fit.
    fn convert(self, value: f64, unit: &str) -> Option<f64> {
        match (self, unit) {
            (_, "") => Some(value),
            (Self::Time(own), "us") => Some(value * 1e-6 / own),
            (Self::Time(own), "ms") => Some(value * 1e-3 / own),
            (Self::Time(own), "s") => Some(value / own),
            (Self::Bytes(own), "KiB") => Some(value * 1024.0 / own),
            (Self::Bytes(own), "MiB") => Some(value * 1024.0 * 1024.0 / own),
            (Self::Count, "k") => Some(value * 1000.0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_figure_s_unit() {
        for (text, expected) in [
            ("latency_p99_us<420", 420.0),
            ("latency_p99_us < 10ms", 10_000.0),
            ("latency_p99_us<=0.5s", 500_000.0),
            ("blackout_p50_ms<250us", 0.25),
            ("blackout_p50_ms<3 s", 3_000.0),
            ("seconds<=1500ms", 1.5),
            ("node_bytes_per_connection<=2.5KiB", 2_560.0),
            ("start_resident_bytes<1MiB", 1_048_576.0),
            ("slow body: peak resident MiB<2048KiB", 2.0),
            ("slow body: p99 us<1ms", 1_000.0),
            ("cpu_us_per_message<0.04ms", 40.0),
            ("connects_per_second>=16k", 16_000.0),
            ("lost<=0", 0.0),
            ("grown>-1.5", -1.5),
        ] {
            let bound: Bound = text.parse().unwrap();
            assert!((bound.value - expected).abs() < 1e-9 * expected.abs().max(1.0), "{text}: {bound:?}");
        }
    }

    #[test]
    fn what_is_no_bound_is_told_why() {
        let no = |text: &str| text.parse::<Bound>().unwrap_err();
        for text in ["latency_p99_us", "latency_p99_us=3", "<3", ""] {
            assert_eq!(no(text), NoBound::NoOperator, "{text}");
        }
        for text in ["latency_p99_us<", "latency_p99_us<x", "latency_p99_us<3 hours", "lost<==1", "lost<nan"]
        {
            assert!(matches!(no(text), NoBound::NoNumber(_)), "{text}");
        }
        for text in
            ["latency_p99_us<3KiB", "node_bytes_per_connection<1ms", "connects_per_second>3s", "cpu_us<1k"]
        {
            assert!(matches!(no(text), NoBound::WrongUnit { .. }), "{text}");
        }
    }

    #[test]
    fn each_operator_holds_where_it_should() {
        let figures = [("lost", 3.0)];
        for (text, holds) in [
            ("lost<3", false),
            ("lost<4", true),
            ("lost<=3", true),
            ("lost<=2", false),
            ("lost>3", false),
            ("lost>2", true),
            ("lost>=3", true),
            ("lost>=4", false),
        ] {
            let broken = text.parse::<Bound>().unwrap().broken(&figures);
            assert_eq!(broken.is_none(), holds, "{text}: {broken:?}");
        }
    }
}
