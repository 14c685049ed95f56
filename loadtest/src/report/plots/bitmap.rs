//! Pixels to draw on, with letters that are in this binary: no font of the system is asked for, so that a picture looks
//! the same everywhere.

use std::convert::Infallible;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendTextStyle, DrawingBackend, DrawingErrorKind};

const WEIGHT: FontWeight = FontWeight::Regular;
const HEIGHT: RasterHeight = RasterHeight::Size16;

/// Three bytes for each pixel, row by row.
#[derive(Debug)]
pub(super) struct Bitmap {
    size: (u32, u32),
    pixels: Vec<u8>,
}

impl Bitmap {
    /// All white.
    pub(super) fn new(size: (u32, u32)) -> Self {
        Self { size, pixels: vec![u8::MAX; 3 * (size.0 * size.1) as usize] }
    }

    /// The file.
    pub(super) fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.size.0, self.size.1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(file)
    }

    /// Mixes a colour into a pixel; nothing outside the picture.
    fn mix(&mut self, (x, y): BackendCoord, colour: BackendColor) {
        let (width, height) = self.size;
        let inside = |at: i32, end: u32| u32::try_from(at).ok().filter(|at| *at < end);
        let (Some(x), Some(y)) = (inside(x, width), inside(y, height)) else { return };
        let at = 3 * (y * width + x) as usize;
        let (red, green, blue) = colour.rgb;
        for (old, new) in self.pixels[at..at + 3].iter_mut().zip([red, green, blue]) {
            let mixed = f64::from(*old) * (1.0 - colour.alpha) + f64::from(new) * colour.alpha;
            *old = mixed.round() as u8;
        }
    }
}

/// Width and height of a text.
fn extent(text: &str) -> (i32, i32) {
    ((text.chars().count() * get_raster_width(WEIGHT, HEIGHT)) as i32, HEIGHT.val() as i32)
}

/// Everything but letters is made of pixels by the trait itself.
impl DrawingBackend for &mut Bitmap {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Infallible>> {
        Ok(())
    }

    fn draw_pixel(
        &mut self,
        point: BackendCoord,
        color: BackendColor,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        self.mix(point, color);
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        _style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let (width, height) = extent(text);
        Ok((width as u32, height as u32))
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        pos: BackendCoord,
    ) -> Result<(), DrawingErrorKind<Infallible>> {
        let (width, height) = extent(text);
        let left = match style.anchor().h_pos {
            HPos::Left => 0,
            HPos::Center => -width / 2,
            HPos::Right => -width,
        };
        let top = match style.anchor().v_pos {
            VPos::Top => 0,
            VPos::Center => -height / 2,
            VPos::Bottom => -height,
        };
        let step = get_raster_width(WEIGHT, HEIGHT) as i32;
        for (left, letter) in (0..).map(|number| left + number * step).zip(text.chars()) {
            let raster = get_raster(letter, WEIGHT, HEIGHT).or_else(|| get_raster('?', WEIGHT, HEIGHT));
            let rows = raster.iter().flat_map(|raster| raster.raster()).zip(top..);
            for ((ink, x), y) in rows.flat_map(|(row, y)| row.iter().zip(left..).map(move |pixel| (pixel, y)))
            {
                let (x, y) = style.transform().transform(x, y);
                let alpha = style.color().alpha * f64::from(*ink) / 255.0;
                self.mix((pos.0 + x, pos.1 + y), BackendColor { alpha, ..style.color() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use plotters::prelude::{FontTransform, IntoFont, IntoTextStyle};
    use plotters::style::text_anchor::Pos;

    use super::*;

    /// The corners of what is not white, after a text was written in the middle.
    fn ink(anchor: Pos, transform: FontTransform) -> ((u32, u32), (u32, u32)) {
        let mut bitmap = Bitmap::new((100, 100));
        let style =
            ("sans-serif", 16).into_font().transform(transform).into_text_style(&(100, 100)).pos(anchor);
        (&mut bitmap).draw_text("HHHH", &style, (50, 50)).unwrap();
        let dark = (0..).zip(bitmap.pixels.chunks(3)).filter(|(_, pixel)| pixel[0] < 128);
        let places: Vec<(u32, u32)> = dark.map(|(at, _)| (at % 100, at / 100)).collect();
        let side = |of: fn(&(u32, u32)) -> u32| {
            (places.iter().map(of).min().unwrap(), places.iter().map(of).max().unwrap())
        };
        (side(|place| place.0), side(|place| place.1))
    }

    #[test]
    fn texts_stand_where_their_anchor_says_and_turn_with_it() {
        let ((left, right), (top, bottom)) = ink(Pos::new(HPos::Left, VPos::Top), FontTransform::None);
        assert!(left >= 50 && right <= 78 && right - left > 20, "{left} to {right}");
        assert!(top >= 50 && bottom < 66, "{top} to {bottom}");
        let ((left, right), (top, bottom)) = ink(Pos::new(HPos::Right, VPos::Bottom), FontTransform::None);
        assert!(left >= 22 && right < 50 && top >= 34 && bottom < 50);
        let ((left, right), (top, bottom)) = ink(Pos::new(HPos::Left, VPos::Top), FontTransform::Rotate270);
        assert!(left >= 50 && right < 66 && top >= 22 && bottom <= 50 && bottom - top > 20);
    }

    #[test]
    fn what_is_drawn_outside_is_not_there() {
        let mut bitmap = Bitmap::new((2, 1));
        let black = BackendColor { alpha: 0.5, rgb: (0, 0, 0) };
        for point in [(-1, 0), (0, -1), (2, 0), (0, 1), (1, 0)] {
            bitmap.mix(point, black);
        }
        assert_eq!(bitmap.pixels, [255, 255, 255, 128, 128, 128]);
    }
}
