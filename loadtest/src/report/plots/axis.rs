//! Where a chart's axes begin and end, and what is written beside them.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::chart::Line;

/// Marks that a linear axis has about.
const MARKS: f64 = 8.0;

/// One side of a chart.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) from: f64,
    pub(super) to: f64,
    /// Positions, and what stands there.
    pub(super) marks: Vec<(f64, String)>,
}

impl Axis {
    /// From zero to a little more than the greatest. `None` of no point.
    pub(super) fn linear(label: &str, lines: &[Line], of: impl Fn(&(f64, f64)) -> f64) -> Option<Self> {
        let (_, most) = range(lines, of)?;
        let to = if most > 0.0 { most * 1.05 } else { 1.0 };
        let rough = to / MARKS;
        let decade = 10_f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].map(|times| times * decade).into_iter().find(|step| *step >= rough)?;
        let marks = (0..).map(|number| f64::from(number) * step).take_while(|mark| *mark <= to);
        let marks = marks.map(|mark| (mark, short(mark))).collect();
        Some(Self { label: label.to_owned(), from: 0.0, to, marks })
    }

    /// Of positions that count the nines of a share: 0, 90 %, 99 %. `None` of no point.
    pub(super) fn shares(lines: &[Line]) -> Option<Self> {
        let (_, most) = range(lines, |point| point.0)?;
        let to = most.max(1.0);
        let marks = (0..=to as i32).map(|nines| {
            let decimals = (nines - 2).max(0) as usize;
            (f64::from(nines), format!("{:.decimals$}%", 100.0 - 10_f64.powi(2 - nines)))
        });
        Some(Self { label: "share of all".to_owned(), from: 0.0, to, marks: marks.collect() })
    }

    /// Of positions that are logarithms of microseconds. `None` of no point.
    pub(super) fn log_time(lines: &[Line]) -> Option<Self> {
        let (least, most) = range(lines, |point| point.1)?;
        let (from, to) = (least.min(most - 0.1) - 0.05, most + 0.05);
        let decades = from.floor() as i32..=to.ceil() as i32;
        let values = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|times| times * 10_f64.powi(decade)));
        let marks = values.map(|us| (us.log10(), time(us)));
        let marks = marks.filter(|(at, _)| (from..=to).contains(at)).collect();
        Some(Self { label: "latency".to_owned(), from, to, marks })
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        first + ((value - self.from) / (self.to - self.from) * f64::from(last - first)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, _hint: H) -> Vec<f64> {
        self.marks.iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

/// What stands at a mark.
impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, at: &f64) -> String {
        let mark = self.marks.iter().find(|(mark, _)| mark == at);
        mark.map_or_else(String::new, |(_, text)| text.clone())
    }
}

fn range(lines: &[Line], of: impl Fn(&(f64, f64)) -> f64) -> Option<(f64, f64)> {
    let values = lines.iter().flat_map(|line| &line.points).map(of);
    values.fold(None, |range, value| {
        let (least, most) = range.unwrap_or((value, value));
        Some((least.min(value), most.max(value)))
    })
}

/// Not `12000` but `12k`.
fn short(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        1e6.. => format!("{}M", rounded(value / 1e6)),
        1e3.. => format!("{}k", rounded(value / 1e3)),
        _ => rounded(value).to_string(),
    }
}

fn time(us: f64) -> String {
    match us {
        1e6.. => format!("{} s", rounded(us / 1e6)),
        1e3.. => format!("{} ms", rounded(us / 1e3)),
        _ => format!("{} us", rounded(us)),
    }
}

/// Without what multiplying left behind the third decimal.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.marks.iter().map(|(_, text)| text.as_str()).collect()
    }

    fn line(points: &[(f64, f64)]) -> Vec<Line> {
        vec![Line { name: String::new(), points: points.to_vec() }]
    }

    #[test]
    fn marks_are_round() {
        let linear = |most: f64| Axis::linear("", &line(&[(most, 0.0)]), |point| point.0).unwrap();
        assert_eq!(texts(&linear(30.0)), ["0", "5", "10", "15", "20", "25", "30"]);
        assert_eq!(texts(&linear(0.7)), ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]);
        assert_eq!(texts(&linear(1.3e5)), ["0", "20k", "40k", "60k", "80k", "100k", "120k"]);
        assert_eq!(linear(0.0).to, 1.0);
        let shares = Axis::shares(&line(&[(0.0, 0.0), (4.2, 0.0)])).unwrap();
        assert_eq!(texts(&shares), ["0%", "90%", "99%", "99.9%", "99.99%"]);
        let times = Axis::log_time(&line(&[(0.0, 2.0), (0.0, 3.5)])).unwrap();
        assert_eq!(texts(&times), ["100 us", "200 us", "500 us", "1 ms", "2 ms"]);
        assert_eq!((times.format_ext(&3.0), times.map(&3.0, (400, 0))), ("1 ms".to_owned(), 137));
        assert!(Axis::shares(&line(&[])).is_none());
    }
}
