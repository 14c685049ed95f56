//! Reads the lines of one who waits in the shape in which this version writes them: a tenth of the work of a
//! reader of any JSON, which has to read what is of another shape.

use signalbox_protocol::fleet::GeoPoint;

/// The length of the passenger's id, and the position, if both lines are of that shape. Then they are JSON.
pub(super) fn read([fixed, also]: [&str; 2]) -> Option<(usize, GeoPoint)> {
    let known = read_fixed(fixed)?;
    read_also(also)?;
    Some(known)
}

fn read_fixed(line: &str) -> Option<(usize, GeoPoint)> {
    let mut rest = Rest(line.as_bytes());
    rest.literal(r#""passenger_id":"#)?;
    let id_bytes = rest.text()?;
    rest.literal(r#","pool":"#)?;
    rest.text()?;
    rest.literal(r#","direction":"#)?;
    rest.or_null(Rest::text)?;
    rest.literal(r#","position":"#)?;
    let [lat, lon] = rest.point()?;
    rest.literal(r#","destination":"#)?;
    rest.or_null(Rest::point)?;
    rest.literal(r#","priority":"#)?;
    rest.number()?;
    rest.literal(r#","max_walking_distance_m":"#)?;
    rest.or_null(Rest::number)?;
    rest.literal(r#","spawned_at":"#)?;
    rest.text()?;
    rest.literal(r#","expires_at":"#)?;
    rest.or_null(Rest::text)?;
    rest.end()?;
    let degrees = |number: &[u8]| std::str::from_utf8(number).ok()?.parse().ok();
    Some((id_bytes, GeoPoint::try_new(degrees(lat)?, degrees(lon)?).ok()?))
}

fn read_also(line: &str) -> Option<()> {
    let mut rest = Rest(line.as_bytes());
    rest.literal(r#""commuter_id":"#)?;
    rest.text()?;
    rest.literal(r#","current_location":"#)?;
    rest.point()?;
    rest.literal(r#","latitude":"#)?;
    rest.number()?;
    rest.literal(r#","longitude":"#)?;
    rest.number()?;
    rest.literal(r#","route_id":"#).or_else(|| rest.literal(r#","depot_id":"#))?;
    rest.text()?;
    rest.literal(r#","max_walking_distance":"#)?;
    rest.or_null(Rest::number)?;
    rest.end()
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn literal(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text.as_bytes())?;
        Some(())
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    fn or_null<T>(&mut self, read: fn(&mut Self) -> Option<T>) -> Option<()> {
        self.literal("null").or_else(|| read(self).map(|_| ()))
    }

    /// A string without escapes; how long it is.
    fn text(&mut self) -> Option<usize> {
        self.literal("\"")?;
        let bytes = self.0.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        self.0 = self.0[bytes..].strip_prefix(b"\"")?;
        Some(bytes)
    }

    /// A number without an exponent.
    fn number(&mut self) -> Option<&'a [u8]> {
        let whole = self.0;
        self.0 = whole.strip_prefix(b"-").unwrap_or(whole);
        match self.0 {
            [b'0', rest @ ..] => self.0 = rest,
            _ => self.digits()?,
        }
        if let Some(fraction) = self.0.strip_prefix(b".") {
            self.0 = fraction;
            self.digits()?;
        }
        Some(&whole[..whole.len() - self.0.len()])
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.0 = &self.0[count..];
        (count > 0).then_some(())
    }

    fn point(&mut self) -> Option<[&'a [u8]; 2]> {
        self.literal(r#"{"lat":"#)?;
        let lat = self.number()?;
        self.literal(r#","lon":"#)?;
        let lon = self.number()?;
        self.literal("}")?;
        Some([lat, lon])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use serde_json::Value;

    use super::*;
    use crate::Waiting;
    use crate::waiting::tests::passenger;

    /// Characters that begin or end something.
    const SPECIAL: &str = "\"\\{}[]:,.-+eE01 n\u{1}é";

    fn is_json(lines: [&str; 2]) -> bool {
        lines.iter().all(|line| serde_json::from_str::<Value>(&format!("{{{line}}}")).is_ok())
    }

    proptest! {
        #[test]
        fn what_this_version_writes_is_of_the_shape(passenger in passenger()) {
            let waiting = Waiting::of(&passenger);
            let known = (passenger.passenger_id.as_str().len(), passenger.position);
            prop_assert_eq!(read(waiting.lines()), Some(known));
        }

        #[test]
        fn what_is_of_the_shape_is_json(
            passenger in passenger(),
            (of, at, put) in (any::<bool>(), any::<Index>(), prop::option::of(any::<Index>())),
            cut in 0..3_usize,
        ) {
            let waiting = Waiting::of(&passenger);
            let mut lines = waiting.lines().map(|line| line.chars().collect::<Vec<_>>());
            let line = &mut lines[usize::from(of)];
            let at = at.index(line.len());
            line.drain(at..(at + cut).min(line.len()));
            line.splice(at..at, put.map(|put| *put.get(&SPECIAL.chars().collect::<Vec<_>>())));
            let lines = lines.map(String::from_iter);
            let lines = [lines[0].as_str(), lines[1].as_str()];
            prop_assert!(read(lines).is_none() || is_json(lines), "{lines:?}");
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        for (text, read) in [("0", 1), ("-0.5,", 4), ("13.10", 5), ("1e3", 1), ("01", 1), ("9}", 1)] {
            assert_eq!(Rest(text.as_bytes()).number().map(<[u8]>::len), Some(read), "{text}");
        }
        for text in ["", "-", ".5", "+1", "1.", "1.e", "-.1", "x"] {
            assert_eq!(Rest(text.as_bytes()).number(), None, "{text}");
        }
    }
}
