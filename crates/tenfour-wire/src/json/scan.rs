//! One pass over a text that somebody else wrote: grammar, depth, surrogates, placeholders.

use super::{number, placeholder, string};
use crate::{DecodeError, DecodeErrorKind, Limits};

/// The deepest nesting that is ever accepted, whatever [`Limits::json_depth`] says: 256 arrays and objects.
///
/// Reading a value recurses once for each, here and in the types that an application reads it into.
pub const MAX_DEPTH: usize = 256;

/// Checks that `text` is one JSON value which may be passed on to anybody.
///
/// Whitespace may surround it. Numbers may be of any size, and an object may have a key twice, as in JavaScript.
///
/// # Errors
/// | kind | offset of |
/// |---|---|
/// | [`Json`](DecodeErrorKind::Json) | the first byte that cannot be there; the text's length if it ends early |
/// | [`Depth`](DecodeErrorKind::Depth) | the bracket or brace that is one too many |
/// | [`LoneSurrogate`](DecodeErrorKind::LoneSurrogate) | the escape's backslash |
/// | [`Placeholder`](DecodeErrorKind::Placeholder) | the key `_placeholder`, however it is escaped |
///
/// ```
/// use tenfour_wire::{DecodeErrorKind, Limits, json};
///
/// assert!(json::validate(r#"{"a":[1,2.5e3,"\u00e9"]}"#, &Limits::default()).is_ok());
/// let error = json::validate(r#"["\ud800"]"#, &Limits::default()).unwrap_err();
/// assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::LoneSurrogate, 2));
/// ```
pub fn validate(text: &str, limits: &Limits) -> Result<(), DecodeError> {
    let mut scanner = Scanner::new(text, limits.json_depth, 0);
    let end = scanner.value(0)?;
    scanner.end(end)
}

/// Checks that `text` is the elements of a JSON array without its brackets; `None` if there are none. Whitespace may
/// surround them.
pub(crate) fn elements(text: &str, depth: usize, attachments: usize) -> Result<Option<Values>, DecodeError> {
    let mut scanner = Scanner::new(text, depth, attachments).inside_array();
    if scanner.end(0).is_ok() {
        return Ok(None);
    }
    let values = scanner.values(0)?;
    scanner.end(values.next)?;
    Ok(Some(values))
}

/// Checks the values of a text where they stand.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    /// How many more arrays and objects may be opened.
    depth: usize,
    /// How many attachments placeholders may stand for.
    attachments: usize,
    /// Why a step answered `None`.
    error: DecodeError,
}

impl<'a> Scanner<'a> {
    /// A scanner of values inside of which `depth` arrays and objects may be nested.
    pub(crate) fn new(text: &'a str, depth: usize, attachments: usize) -> Self {
        Self {
            text,
            depth: depth.min(MAX_DEPTH),
            attachments,
            error: DecodeError::new(DecodeErrorKind::Json, 0),
        }
    }

    /// The same scanner, one array further in.
    pub(crate) fn inside_array(self) -> Self {
        Self { depth: self.depth.saturating_sub(1), ..self }
    }

    /// The end of the value that is at `at`, or behind whitespace there.
    pub(crate) fn value(&mut self, at: usize) -> Result<usize, DecodeError> {
        self.step(skip_whitespace(self.text.as_bytes(), at)).ok_or(self.error)
    }

    /// Where the value stands that is at `at`, or behind whitespace there.
    pub(crate) fn first_value(&mut self, at: usize) -> Result<Values, DecodeError> {
        let bytes = self.text.as_bytes();
        let start = skip_whitespace(bytes, at);
        let end = self.value(start)?;
        Ok(Values { start, end, next: skip_whitespace(bytes, end) })
    }

    /// Where the values stand that are at `at` and behind each comma that follows.
    pub(crate) fn values(&mut self, at: usize) -> Result<Values, DecodeError> {
        let bytes = self.text.as_bytes();
        let mut values = self.first_value(at)?;
        while bytes.get(values.next) == Some(&b',') {
            values.end = self.value(values.next + 1)?;
            values.next = skip_whitespace(bytes, values.end);
        }
        Ok(values)
    }

    /// Checks that nothing but whitespace follows.
    pub(crate) fn end(&self, at: usize) -> Result<(), DecodeError> {
        let end = skip_whitespace(self.text.as_bytes(), at);
        if end == self.text.len() { Ok(()) } else { Err(DecodeError::new(DecodeErrorKind::Json, end)) }
    }

    /// The end of the value at `at`. The steps answer in registers; the error, if any, waits in `self`.
    #[inline]
    fn step(&mut self, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        match bytes.get(at) {
            Some(b'"') => self.string(at),
            Some(b'{') => self.object(at),
            Some(b'[') => self.array(at),
            Some(b'-' | b'0'..=b'9') => match number::end(bytes, at) {
                Ok(end) => Some(end),
                Err(end) => self.fail(DecodeErrorKind::Json, end),
            },
            Some(b't') => self.literal(at, b"true"),
            Some(b'f') => self.literal(at, b"false"),
            Some(b'n') => self.literal(at, b"null"),
            _ => self.fail(DecodeErrorKind::Json, at),
        }
    }

    #[inline]
    fn string(&mut self, at: usize) -> Option<usize> {
        match string::end(self.text.as_bytes(), at + 1) {
            Ok((close, _)) => Some(close + 1),
            Err(error) => {
                self.error = error;
                None
            }
        }
    }

    fn object(&mut self, start: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        if self.attachments > 0
            && let Some((num, end)) = placeholder::read(bytes, start)
            && num < self.attachments
        {
            return Some(end);
        }
        self.open(start)?;
        let mut at = skip_whitespace(bytes, start + 1);
        if bytes.get(at) == Some(&b'}') {
            return self.close(at);
        }
        loop {
            at = self.key(at)?;
            at = skip_whitespace(bytes, self.step(at)?);
            match bytes.get(at) {
                Some(b',') => at = skip_whitespace(bytes, at + 1),
                Some(b'}') => return self.close(at),
                _ => return self.fail(DecodeErrorKind::Json, at),
            }
        }
    }

    /// The start of the value whose key is at `start`.
    #[inline]
    fn key(&mut self, start: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        if bytes.get(start) != Some(&b'"') {
            return self.fail(DecodeErrorKind::Json, start);
        }
        let end = self.string(start)?;
        if self.text.get(start + 1..end - 1).is_some_and(placeholder::is_key) {
            return self.fail(DecodeErrorKind::Placeholder, start);
        }
        let colon = skip_whitespace(bytes, end);
        if bytes.get(colon) != Some(&b':') {
            return self.fail(DecodeErrorKind::Json, colon);
        }
        Some(skip_whitespace(bytes, colon + 1))
    }

    fn array(&mut self, start: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        self.open(start)?;
        let mut at = skip_whitespace(bytes, start + 1);
        if bytes.get(at) == Some(&b']') {
            return self.close(at);
        }
        loop {
            at = skip_whitespace(bytes, self.step(at)?);
            match bytes.get(at) {
                Some(b',') => at = skip_whitespace(bytes, at + 1),
                Some(b']') => return self.close(at),
                _ => return self.fail(DecodeErrorKind::Json, at),
            }
        }
    }

    #[inline]
    fn open(&mut self, at: usize) -> Option<usize> {
        match self.depth.checked_sub(1) {
            Some(depth) => {
                self.depth = depth;
                Some(at)
            }
            None => self.fail(DecodeErrorKind::Depth, at),
        }
    }

    #[inline]
    fn close(&mut self, at: usize) -> Option<usize> {
        self.depth += 1;
        Some(at + 1)
    }

    #[inline]
    fn literal(&mut self, at: usize, literal: &[u8]) -> Option<usize> {
        let bytes = &self.text.as_bytes()[at..];
        if bytes.starts_with(literal) {
            return Some(at + literal.len());
        }
        let same = bytes.iter().zip(literal).take_while(|(byte, expected)| byte == expected).count();
        self.fail(DecodeErrorKind::Json, at + same)
    }

    #[cold]
    fn fail(&mut self, kind: DecodeErrorKind, at: usize) -> Option<usize> {
        self.error = DecodeError::new(kind, at);
        None
    }
}

/// Where values stand in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values {
    /// The first byte of the first.
    pub(crate) start: usize,
    /// Behind the last byte of the last.
    pub(crate) end: usize,
    /// What follows, whitespace aside.
    pub(crate) next: usize,
}

/// The first byte from `at` on that is not whitespace.
#[inline]
pub(crate) fn skip_whitespace(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}
