//! What was found, as plots: latency percentiles, throughput over time, and memory over connections where a scenario has them.

mod axis;
mod bitmap;
mod chart;

use std::fs;
use std::path::Path;

use anyhow::Context;

use self::axis::Axis;
use self::chart::{Chart, Line};
use super::summary::Summary;
use super::{Over, Points, micros};
use crate::latency::Latencies;

const MIB: f64 = 1024.0 * 1024.0;

impl Summary {
    /// Writes `<plot>.svg` and `<plot>.png` of each plot that there is something for.
    ///
    /// # Errors
    /// When a file can't be written.
    pub(crate) fn draw(&self, folder: &Path) -> anyhow::Result<()> {
        for (name, chart) in self.charts() {
            for (ending, bytes) in [("svg", chart.svg()?.into_bytes()), ("png", chart.png()?)] {
                let path = folder.join(name).with_extension(ending);
                fs::write(&path, bytes).with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }

    fn charts(&self) -> Vec<(&'static str, Chart)> {
        let charts =
            [("latency", self.latency()), ("throughput", self.throughput()), ("memory", self.memory())];
        charts.into_iter().filter_map(|(name, chart)| Some((name, chart?))).collect()
    }

    /// Of all runs, over 1 / (1 - share), both on a log scale.
    fn latency(&self) -> Option<Chart> {
        let lines = self
            .histograms
            .iter()
            .map(|(name, latencies)| Line { name: name.clone(), points: percentiles(latencies) });
        let lines: Vec<Line> = lines.filter(|line| !line.points.is_empty()).collect();
        let (x, y) = (Axis::shares(&lines)?, Axis::log_time(&lines)?);
        Some(Chart { title: self.title("latency by percentile"), x, y, lines })
    }

    fn throughput(&self) -> Option<Chart> {
        let lines = self.lines_over(Over::Seconds, 1.0);
        let what = lines.first()?.name.split(", ").next().unwrap_or_default().replace('_', " ");
        let (x, y) =
            (Axis::linear("seconds", &lines, |point| point.0)?, Axis::linear(&what, &lines, |p| p.1)?);
        Some(Chart { title: self.title("throughput over time"), x, y, lines })
    }

    fn memory(&self) -> Option<Chart> {
        let lines = self.lines_over(Over::Connections, MIB);
        let x = Axis::linear("connections", &lines, |point| point.0)?;
        let y = Axis::linear("resident MiB of all nodes", &lines, |point| point.1)?;
        Some(Chart { title: self.title("memory over connections"), x, y, lines })
    }

    /// A line for each series of each run, in this unit.
    fn lines_over(&self, over: Over, unit: f64) -> Vec<Line> {
        let several = self.runs.len() > 1;
        let runs =
            (1..).zip(&self.runs).flat_map(|(number, run)| run.series.iter().map(move |s| (number, s)));
        let lines = runs.filter(|(_, series)| series.over == over && !series.points.is_empty());
        let line = |(number, series): (u32, &super::Series)| Line {
            name: if several { format!("{}, run {number}", series.name) } else { series.name.clone() },
            points: series.points.iter().map(|(x, y)| (*x, y / unit)).collect(),
        };
        lines.map(line).collect()
    }

    fn title(&self, what: &str) -> String {
        let runs = if self.runs.len() > 1 { format!(", {} runs", self.runs.len()) } else { String::new() };
        format!("{}: {what}{runs}", self.scenario())
    }
}

/// Positions on the axes: how many nines a share has, and the logarithm of microseconds.
fn percentiles(latencies: &Latencies) -> Points {
    let percentiles = latencies.percentiles().into_iter();
    percentiles.map(|(share, time)| (-(1.0 - share).log10(), micros(time).max(0.001).log10())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::summary::tests::run;
    use super::*;

    /// How many points each line of a picture has, but for the frame and its marks.
    fn points_of_lines(svg: &str) -> Vec<usize> {
        let document = roxmltree::Document::parse(svg).unwrap();
        let lines = document.descendants().filter(|node| node.has_tag_name("polyline"));
        let lines = lines.filter(|node| node.attribute("stroke-width") == Some("2"));
        lines.map(|node| node.attribute("points").unwrap().split_whitespace().count()).collect()
    }

    #[test]
    fn pictures_are_whole_and_hold_all_points() {
        let mut runs = [10.0, 20.0].map(|rate| run(&(1..=500).collect::<Vec<_>>(), rate));
        for run in &mut runs {
            let seconds = (1..=30).map(|second| (f64::from(second), 1e5 + f64::from(second)));
            run.series("messages_per_second", Over::Seconds, seconds.collect());
            run.series("node_resident_bytes", Over::Connections, vec![(0.0, 1e6), (1e4, 3e7), (2e4, 6e7)]);
        }
        let summary = Summary::try_new(runs.into()).unwrap();
        let folder = tempfile::TempDir::new().unwrap();
        summary.draw(folder.path()).unwrap();
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        // A legend has a mark of two points for each line.
        let all_latencies = summary.histograms[0].1.percentiles().len();
        for (name, expected) in [
            ("latency", vec![all_latencies, 2]),
            ("throughput", vec![30, 30, 2, 2]),
            ("memory", vec![3, 3, 2, 2]),
        ] {
            let svg = String::from_utf8(read(&format!("{name}.svg"))).unwrap();
            assert_eq!(points_of_lines(&svg), expected, "{name}");
            let png = read(&format!("{name}.png"));
            assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "{name}");
            let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
            assert_eq!((side(16), side(20)), chart::SIZE, "{name}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6);
    }

    #[test]
    fn what_was_not_measured_is_not_drawn() {
        let summary = Summary::try_new(vec![run(&[], 0.0)]).unwrap();
        assert!(summary.charts().is_empty());
        let summary = Summary::try_new(vec![run(&[7], 0.0)]).unwrap();
        let [(name, chart)] = summary.charts().try_into().unwrap();
        assert_eq!((name, chart.lines[0].points.len()), ("latency", 1));
        chart.svg().unwrap();
        chart.png().unwrap();
    }
}
