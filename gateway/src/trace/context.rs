//! `traceparent` as the W3C recommends it (Trace Context, level 1): `00-TRACE-PARENT-FLAGS`, in lower-case
//! hexadecimal. Later versions begin with the same.

use std::fmt;

/// Characters of version 00.
const CHARS: usize = 55;
/// The bit of the flags that says that the trace is recorded.
const RECORDED: u8 = 1;

/// Which trace something belongs to, and which span it lies below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    span: u64,
    flags: u8,
}

impl TraceParent {
    /// Reads one; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (own, rest) = (text.get(..CHARS)?, text.get(CHARS..)?);
        let mut parts = own.split('-');
        let [version, trace, span, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        let well_formed = [(version, 2), (trace, 32), (span, 16), (flags, 2)]
            .iter()
            .all(|(part, chars)| part.len() == *chars && part.bytes().all(is_lower_hex));
        let known = match version {
            "ff" => false,
            "00" => rest.is_empty(),
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let trace = u128::from_str_radix(trace, 16).ok().filter(|_| well_formed && known)?;
        let span = u64::from_str_radix(span, 16).ok()?;
        let flags = u8::from_str_radix(flags, 16).ok()? & RECORDED;
        (trace != 0 && span != 0 && parts.next().is_none()).then_some(Self { trace, span, flags })
    }

    /// Whether whoever began the trace records it.
    pub fn is_recorded(&self) -> bool {
        self.flags & RECORDED != 0
    }

    /// A span of its own below this one.
    pub(super) fn child(&self) -> Self {
        Self { span: fastrand::u64(1..), ..*self }
    }

    pub(super) fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    pub(super) fn span_id(&self) -> String {
        format!("{:016x}", self.span)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_the_recommendation_calls_valid_reads_back() {
        let parent = TraceParent::parse(GOOD).unwrap();
        assert_eq!(parent.to_string(), GOOD);
        assert!(parent.is_recorded());
        assert!(!TraceParent::parse(&GOOD.replace("-01", "-00")).unwrap().is_recorded());
        let later = format!("01{}-more", &GOOD[2..]);
        assert_eq!(TraceParent::parse(&later), Some(parent), "of a later version what is known counts");
        let child = parent.child();
        assert_eq!((child.trace, child.is_recorded()), (parent.trace, true));
        assert_ne!(child.span, parent.span);
    }

    #[test]
    fn anything_else_is_none() {
        let upper = GOOD.to_uppercase();
        let more = format!("{GOOD}-more");
        let version = format!("ff{}", &GOOD[2..]);
        let no_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let no_span = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
        let signed = GOOD.replace("-b7", "-+7");
        let umlaut = GOOD.replace("0a", "ä");
        for bad in ["", "00", &GOOD[1..], &upper, &more, &version, &no_trace, &no_span, &signed, &umlaut] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }
}
