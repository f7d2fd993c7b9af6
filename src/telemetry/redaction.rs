//! The last line of defence: values that look personal are blotted out of log lines and spans
//! before they leave.
//!
//! Nothing should ever be found here. Personal data has types that do not show what they hold, and
//! a hit means that somebody got around them: `cardproof_redaction_hits_total` counts it, and the
//! tests of the whole program ask that it stays at zero.
//!
//! What counts as personal is what can be told from noise by its own arithmetic: card numbers with
//! a right Luhn digit, resident ID numbers with a right check character and a real date, and mobile
//! numbers where a country code or the word beside them says so. Names cannot be told. To leave
//! ids, digests, times and counts alone, a number must stand by itself: not inside a word, a
//! hexadecimal token, a fraction or a UUID.

mod numbers;

use std::{
    borrow::Cow,
    io,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use tracing_subscriber::fmt::MakeWriter;

static HITS: AtomicU64 = AtomicU64::new(0);

/// How many values were blotted out since the process began.
#[must_use]
pub fn hits() -> u64 {
    HITS.load(Ordering::Relaxed)
}

/// Whether nothing in a text looks personal. Looking is not counted: what is looked at may be a
/// caller's own.
#[must_use]
pub fn is_clean(text: &[u8]) -> bool {
    numbers::find(text).is_empty()
}

/// The text without what looks personal. What is blotted out is counted.
#[must_use]
pub fn clean(text: &[u8]) -> Cow<'_, [u8]> {
    let found = numbers::find(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    HITS.fetch_add(found.len() as u64, Ordering::Relaxed);
    Cow::Owned(blotted(text, &found))
}

/// The same for text that is known to be UTF-8; what is blotted out is ASCII, so it stays so.
#[must_use]
pub fn clean_str(text: &str) -> Cow<'_, str> {
    match clean(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn blotted(text: &[u8], found: &[Range<usize>]) -> Vec<u8> {
    let mut cleaned = Vec::with_capacity(text.len());
    let mut done = 0;
    for range in found {
        cleaned.extend_from_slice(text.get(done..range.start).unwrap_or_default());
        if is_bare_json(text, range) {
            // stars would end the line's life as JSON
            cleaned.extend_from_slice(b"null");
        } else {
            cleaned.resize(cleaned.len() + range.len(), b'*');
        }
        done = range.end;
    }
    cleaned.extend_from_slice(text.get(done..).unwrap_or_default());
    cleaned
}

/// Whether a place in a line of JSON is outside of every string.
fn is_bare_json(text: &[u8], range: &Range<usize>) -> bool {
    let before = text.get(..range.start).unwrap_or_default();
    let mut inside = false;
    let mut escaped = false;
    for byte in before {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
    }
    text.first() == Some(&b'{') && !inside
}

/// Makes writers that clean every line on its way.
#[derive(Debug, Clone)]
pub struct Redacting<M>(pub M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Redacting<M> {
    type Writer = RedactingWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        RedactingWriter(self.0.make_writer())
    }

    fn make_writer_for(&'a self, metadata: &tracing::Metadata<'_>) -> Self::Writer {
        RedactingWriter(self.0.make_writer_for(metadata))
    }
}

/// Cleans what is written; a line comes in one piece.
#[derive(Debug)]
pub struct RedactingWriter<W>(W);

impl<W: io::Write> io::Write for RedactingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&clean(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests;
