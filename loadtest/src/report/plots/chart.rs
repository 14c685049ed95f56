//! Lines in a frame, drawn as SVG and as PNG by the same code.

use anyhow::anyhow;
use plotters::prelude::{
    ChartBuilder, DrawingBackend, IntoDrawingArea, IntoFont, LineSeries, PathElement, RGBColor, SVGBackend,
    SeriesLabelPosition, ShapeStyle,
};
use plotters::style::Color;
use plotters::style::colors::{BLACK, WHITE};

use super::axis::Axis;
use super::bitmap::Bitmap;
use crate::report::Points;

/// Width and height in pixels.
pub(super) const SIZE: (u32, u32) = (960, 540);

/// More lines are drawn without telling which is which.
const LEGEND_MAX: usize = 8;

/// What distinguishes lines, also for those who see red and green as one.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
    RGBColor(0, 0, 0),
];

/// Lines in a frame.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
}

/// One line, in positions on the axes.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Points,
}

impl Chart {
    pub(super) fn svg(&self) -> anyhow::Result<String> {
        let mut svg = String::new();
        self.draw(SVGBackend::with_string(&mut svg, SIZE))?;
        Ok(svg)
    }

    pub(super) fn png(&self) -> anyhow::Result<Vec<u8>> {
        let mut bitmap = Bitmap::new(SIZE);
        self.draw(&mut bitmap)?;
        Ok(bitmap.png()?)
    }

    fn draw<B: DrawingBackend>(&self, backend: B) -> anyhow::Result<()>
    where
        B::ErrorType: 'static,
    {
        // Their errors are not made to be sent to other threads.
        self.try_draw(backend).map_err(|error| anyhow!("a plot can't be drawn: {error}"))
    }

    fn try_draw<B: DrawingBackend>(&self, backend: B) -> Result<(), Box<dyn std::error::Error>>
    where
        B::ErrorType: 'static,
    {
        let area = backend.into_drawing_area();
        area.fill(&WHITE)?;
        let mut frame = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 20).into_font())
            .margin(12)
            .margin_right(32)
            .x_label_area_size(44)
            .y_label_area_size(76)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        frame
            .configure_mesh()
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .label_style(("sans-serif", 16))
            .light_line_style(WHITE)
            .bold_line_style(BLACK.mix(0.12))
            .draw()?;
        for (number, line) in self.lines.iter().enumerate() {
            let style = ShapeStyle::from(COLOURS[number % COLOURS.len()]).stroke_width(2);
            let series = frame.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
            if self.lines.len() <= LEGEND_MAX {
                series.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            }
        }
        frame
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .label_font(("sans-serif", 16))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2))
            .draw()?;
        area.present()?;
        Ok(())
    }
}
