//! W3C trace context, version 00: `traceparent` and `tracestate`.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::telemetry::redaction;

/// The header that carries ids and flags.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header that carries what other systems want to know again.
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// `00-` + 32 + `-` + 16 + `-` + 2
const LENGTH: usize = 55;
/// Longer states are dropped rather than carried along.
const MOST_STATE_BYTES: usize = 512;

/// A place in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub(in crate::telemetry) trace_id: TraceId,
    pub(in crate::telemetry) span_id: SpanId,
    pub(in crate::telemetry) sampled: bool,
    pub(in crate::telemetry) state: Option<HeaderValue>,
}

impl Context {
    /// What a request came with; `None` where it came with nothing that can be read.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(&TRACEPARENT).iter();
        let parent = parents.next()?;
        if parents.next().is_some() {
            return None;
        }
        let (trace_id, span_id, sampled) = parse(parent.as_bytes())?;
        let state = headers.get(&TRACESTATE);
        Some(Self {
            trace_id,
            span_id,
            sampled,
            state: state.filter(|it| it.len() <= MOST_STATE_BYTES).cloned(),
        })
    }

    /// The `traceparent` that tells of it.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let flags = u8::from(self.sampled);
        format!("00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }

    /// The `tracestate` that came with it; none if something personal may be in it, because it is
    /// the caller's text and goes on to others.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        let state = self.state.as_ref()?.to_str().ok()?;
        redaction::is_clean(state.as_bytes()).then_some(state)
    }

    /// The trace, as 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.trace_id.to_string()
    }

    /// The span, as 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        self.span_id.to_string()
    }

    /// The same in the exporter's own words.
    pub(super) fn exported(&self, is_remote: bool) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(self.sampled);
        let state = self.tracestate().and_then(|state| state.parse().ok());
        let state: TraceState = state.unwrap_or_default();
        SpanContext::new(self.trace_id, self.span_id, flags, is_remote, state)
    }
}

/// A later version may be longer, but begins like this one.
fn parse(value: &[u8]) -> Option<(TraceId, SpanId, bool)> {
    let (known, rest) = value.split_at_checked(LENGTH)?;
    let version = hex(known.get(..2)?)?;
    let more_is_fine = version > 0 && rest.first().is_none_or(|next| *next == b'-');
    if version == 0xff || !(rest.is_empty() || more_is_fine) {
        return None;
    }
    let dashes = [2, 35, 52];
    if dashes.iter().any(|at| known.get(*at) != Some(&b'-')) {
        return None;
    }
    let trace_id = hex(known.get(3..35)?)?;
    let span_id = u64::try_from(hex(known.get(36..52)?)?).ok()?;
    let flags = hex(known.get(53..55)?)?;
    if trace_id == 0 || span_id == 0 {
        return None;
    }
    Some((trace_id.into(), span_id.into(), flags & 1 == 1))
}

/// Lower-case hexadecimal digits, 32 at most.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}
