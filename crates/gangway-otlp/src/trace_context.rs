//! `traceparent` of W3C Trace Context, level 1.

use std::fmt;

/// The id of a trace. Never zero.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct TraceId([u8; 16]);

/// The id of a span. Never zero.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct SpanId([u8; 8]);

/// What a request says of the trace that it belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span that is the parent of what follows.
    pub span: SpanId,
    /// Whether the caller records the trace.
    pub is_sampled: bool,
}

/// Where a request stands in its trace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TraceContext {
    /// The trace, and the span that is the parent of what follows.
    pub here: TraceParent,
    /// The span of the caller; none where the trace begins here.
    pub parent: Option<SpanId>,
    /// What others who take part in the trace have to say, for `tracestate`; often nothing.
    pub state: Box<str>,
}

/// The length of a field of version 00, the first part of those of later versions.
const LEN: usize = 55;

impl TraceId {
    /// A new one.
    pub fn random() -> Self {
        Self(fastrand::u128(1..).to_be_bytes())
    }

    /// The bytes, as protocols carry them.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl SpanId {
    /// A new one.
    pub fn random() -> Self {
        Self(fastrand::u64(1..).to_be_bytes())
    }

    /// The bytes, as protocols carry them.
    pub fn bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl TraceParent {
    /// Reads the value of the field. None where it is not one: the trace then begins anew.
    ///
    /// A later version than ours counts by its first four parts, as section 3.2.2.1 of the standard says.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LEN)?;
        let (version, parts) = known.split_first_chunk::<3>()?;
        let [version] = hexadecimal(version.strip_suffix(b"-")?)?;
        let is_well_ended = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let (trace, parts) = parts.split_at_checked(32).filter(|_| is_well_ended)?;
        let (span, flags) = parts.strip_prefix(b"-")?.split_at_checked(16)?;
        let [flags] = hexadecimal(flags.strip_prefix(b"-")?)?;
        let (trace, span) = (hexadecimal(trace)?, hexadecimal(span)?);
        if trace == [0; 16] || span == [0; 8] {
            return None;
        }
        Some(Self { trace: TraceId(trace), span: SpanId(span), is_sampled: flags & 1 == 1 })
    }
}

/// Reads small hexadecimal digits, two for each byte; capital ones are none here.
fn hexadecimal<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of the field, in version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-0{}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        for (value, expected) in [
            (format!("00-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("00-{TRACE}-{SPAN}-00"), Some(false)),
            // Only the lowest flag has a meaning here.
            (format!("00-{TRACE}-{SPAN}-ff"), Some(true)),
            (format!("00-{TRACE}-{SPAN}-02"), Some(false)),
            // Later versions may say more.
            (format!("01-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01-"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-01.what"), None),
            (format!("cc-{TRACE}-{SPAN}-011"), None),
            (format!("00-{TRACE}-{SPAN}-01-more"), None),
            (format!("00-{TRACE}-{SPAN}-01-"), None),
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("0-{TRACE}-{SPAN}-01"), None),
            (format!("0x-{TRACE}-{SPAN}-01"), None),
            (format!("00-{TRACE}-{SPAN}-1"), None),
            (format!("00-{TRACE}-{SPAN}-0x"), None),
            (format!("00-{TRACE}-{SPAN}"), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{TRACE}-{}-01", SPAN.to_uppercase()), None),
            (format!("00-{TRACE}-{SPAN}-0A"), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00-{}-{SPAN}-01", &TRACE[1..]), None),
            (format!("00-{}.-{SPAN}-01", &TRACE[1..]), None),
            (format!("00-{TRACE}_{SPAN}-01"), None),
            (format!(" 00-{TRACE}-{SPAN}-01"), None),
            (format!("00-{TRACE}-{SPAN}-01 "), None),
            (format!("00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"), None),
            (String::new(), None),
            ("-".repeat(55), None),
        ] {
            let read = TraceParent::parse(value.as_bytes());
            assert_eq!(read.map(|parent| parent.is_sampled), expected, "{value}");
            if let Some(parent) = read {
                assert_eq!((parent.trace.to_string(), parent.span.to_string()), (TRACE.to_owned(), SPAN.to_owned()));
            }
        }
        assert_eq!(TraceParent::parse("00-\u{e4}".repeat(20).as_bytes()), None);
    }

    #[test]
    fn what_is_written_is_read_alike() {
        for is_sampled in [true, false] {
            let parent = TraceParent { trace: TraceId::random(), span: SpanId::random(), is_sampled };
            assert_eq!(TraceParent::parse(parent.to_string().as_bytes()), Some(parent));
        }
        assert_ne!(TraceId::random(), TraceId::random());
    }
}
