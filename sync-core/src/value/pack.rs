//! The few MessagePack forms that values and changes are made of, written and read in their shortest form only.
//!
//! Invariant: the reader takes exactly the bytes the writer makes. A longer form of the same thing is refused, so
//! that equal things have equal bytes and a digest over bytes is a digest over meaning. Nothing is allocated
//! here: lengths are checked against what is left of the input first.

use rmp::Marker;

/// Why bytes are no value, key or change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends inside a value, or a length in it goes beyond its end.
    #[error("the input ends too early")]
    Truncated,
    /// The input goes on after its end.
    #[error("{0} bytes follow after the end")]
    Trailing(usize),
    /// Another type stands here.
    #[error("expected {expected}, found marker {marker:#04x}")]
    Unexpected {
        /// What should stand here.
        expected: &'static str,
        /// The MessagePack marker that does.
        marker: u8,
    },
    /// The meaning is clear, but it has another form, and only that one is allowed.
    #[error("{0} is not in its canonical form")]
    NotCanonical(&'static str),
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// Nested deeper than any known value.
    #[error("nested too deeply")]
    TooDeep,
    /// A field that every change has.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field whose value contradicts the rest.
    #[error("`{field}` is invalid: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Nesting that is followed when an unknown field is skipped.
const MAX_DEPTH: usize = 32;

pub(crate) fn put_uint(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else if value <= 0xff {
        out.extend_from_slice(&[Marker::U8.to_u8(), value as u8]);
    } else if value <= 0xffff {
        out.push(Marker::U16.to_u8());
        out.extend_from_slice(&(value as u16).to_be_bytes());
    } else if value <= 0xffff_ffff {
        out.push(Marker::U32.to_u8());
        out.extend_from_slice(&(value as u32).to_be_bytes());
    } else {
        out.push(Marker::U64.to_u8());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(crate) fn put_int(out: &mut Vec<u8>, value: i64) {
    if value >= 0 {
        put_uint(out, value as u64);
    } else if value >= -32 {
        out.push(value as u8);
    } else if value >= i64::from(i8::MIN) {
        out.extend_from_slice(&[Marker::I8.to_u8(), value as u8]);
    } else if value >= i64::from(i16::MIN) {
        out.push(Marker::I16.to_u8());
        out.extend_from_slice(&(value as i16).to_be_bytes());
    } else if value >= i64::from(i32::MIN) {
        out.push(Marker::I32.to_u8());
        out.extend_from_slice(&(value as i32).to_be_bytes());
    } else {
        out.push(Marker::I64.to_u8());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(crate) fn put_nil(out: &mut Vec<u8>) {
    out.push(Marker::Null.to_u8());
}

pub(crate) fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { Marker::True } else { Marker::False }.to_u8());
}

/// `bits` as they are: the caller has made NaN canonical.
pub(crate) fn put_f64(out: &mut Vec<u8>, bits: u64) {
    out.push(Marker::F64.to_u8());
    out.extend_from_slice(&bits.to_be_bytes());
}

pub(crate) fn put_str(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        length @ 0..32 => out.push(Marker::FixStr(length as u8).to_u8()),
        length => put_length(out, length, [Marker::Str8, Marker::Str16, Marker::Str32]),
    }
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_bin(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len(), [Marker::Bin8, Marker::Bin16, Marker::Bin32]);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_ext(out: &mut Vec<u8>, code: i8, bytes: &[u8]) {
    match bytes.len() {
        1 => out.push(Marker::FixExt1.to_u8()),
        2 => out.push(Marker::FixExt2.to_u8()),
        4 => out.push(Marker::FixExt4.to_u8()),
        8 => out.push(Marker::FixExt8.to_u8()),
        16 => out.push(Marker::FixExt16.to_u8()),
        length => put_length(out, length, [Marker::Ext8, Marker::Ext16, Marker::Ext32]),
    }
    out.push(code as u8);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_array(out: &mut Vec<u8>, length: usize) {
    if length < 16 {
        out.push(Marker::FixArray(length as u8).to_u8());
    } else if let Ok(length) = u16::try_from(length) {
        out.push(Marker::Array16.to_u8());
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(Marker::Array32.to_u8());
        out.extend_from_slice(&short(length).to_be_bytes());
    }
}

/// A map of at most 15 pairs: no known one is larger.
pub(crate) fn put_map(out: &mut Vec<u8>, length: u8) {
    debug_assert!(length < 16, "a small map");
    out.push(Marker::FixMap(length).to_u8());
}

fn put_length(out: &mut Vec<u8>, length: usize, [one, two, four]: [Marker; 3]) {
    if length <= 0xff {
        out.extend_from_slice(&[one.to_u8(), length as u8]);
    } else if length <= 0xffff {
        out.push(two.to_u8());
        out.extend_from_slice(&(length as u16).to_be_bytes());
    } else {
        out.push(four.to_u8());
        out.extend_from_slice(&short(length).to_be_bytes());
    }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("no database holds a value of 4 GiB")
}

/// One item of the input; lengths are checked, contents of containers are not read yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Item<'a> {
    Nil,
    Bool(bool),
    /// Not negative.
    Uint(u64),
    /// Negative.
    Nint(i64),
    F64(f64),
    Str(&'a str),
    Bin(&'a [u8]),
    Ext(i8, &'a [u8]),
    Array(usize),
    Map(usize),
}

/// What is left of the input.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }

    #[inline]
    pub(crate) fn item(&mut self) -> Result<Item<'a>, DecodeError> {
        let marker = self.byte()?;
        Ok(match Marker::from_u8(marker) {
            Marker::Null => Item::Nil,
            Marker::True => Item::Bool(true),
            Marker::False => Item::Bool(false),
            Marker::FixPos(value) => Item::Uint(value.into()),
            Marker::U8 => Item::Uint(self.wide(1, 0x80)?),
            Marker::U16 => Item::Uint(self.wide(2, 0x100)?),
            Marker::U32 => Item::Uint(self.wide(4, 0x1_0000)?),
            Marker::U64 => Item::Uint(self.wide(8, 0x1_0000_0000)?),
            Marker::FixNeg(value) => Item::Nint(value.into()),
            Marker::I8 => negative(i8::from_be_bytes(self.fixed()?).into(), -32)?,
            Marker::I16 => negative(i16::from_be_bytes(self.fixed()?).into(), i8::MIN.into())?,
            Marker::I32 => negative(i32::from_be_bytes(self.fixed()?).into(), i16::MIN.into())?,
            Marker::I64 => negative(i64::from_be_bytes(self.fixed()?), i32::MIN.into())?,
            Marker::F64 => {
                let bits = u64::from_be_bytes(self.fixed()?);
                let value = f64::from_bits(bits);
                if value.is_nan() && bits != super::CANONICAL_NAN {
                    return Err(DecodeError::NotCanonical("a float"));
                }
                Item::F64(value)
            }
            Marker::FixStr(length) => self.text(length.into())?,
            Marker::Str8 => self.wide(1, 32).and_then(|length| self.text(length))?,
            Marker::Str16 => self.wide(2, 0x100).and_then(|length| self.text(length))?,
            Marker::Str32 => self.wide(4, 0x1_0000).and_then(|length| self.text(length))?,
            Marker::Bin8 => self.wide(1, 0).and_then(|length| self.take(length)).map(Item::Bin)?,
            Marker::Bin16 => self.wide(2, 0x100).and_then(|length| self.take(length)).map(Item::Bin)?,
            Marker::Bin32 => self.wide(4, 0x1_0000).and_then(|length| self.take(length)).map(Item::Bin)?,
            Marker::FixExt1 => self.ext(1)?,
            Marker::FixExt2 => self.ext(2)?,
            Marker::FixExt4 => self.ext(4)?,
            Marker::FixExt8 => self.ext(8)?,
            Marker::FixExt16 => self.ext(16)?,
            Marker::Ext8 => match self.wide(1, 0)? {
                1 | 2 | 4 | 8 | 16 => return Err(DecodeError::NotCanonical("an extension's length")),
                length => self.ext(length)?,
            },
            Marker::Ext16 => self.wide(2, 0x100).and_then(|length| self.ext(length))?,
            Marker::Ext32 => self.wide(4, 0x1_0000).and_then(|length| self.ext(length))?,
            Marker::FixArray(length) => Item::Array(self.count(length.into(), 1)?),
            Marker::Array16 => self.wide(2, 16).and_then(|length| self.count(length, 1)).map(Item::Array)?,
            Marker::Array32 => {
                self.wide(4, 0x1_0000).and_then(|length| self.count(length, 1)).map(Item::Array)?
            }
            Marker::FixMap(length) => Item::Map(self.count(length.into(), 2)?),
            Marker::Map16 => self.wide(2, 16).and_then(|length| self.count(length, 2)).map(Item::Map)?,
            Marker::Map32 => {
                self.wide(4, 0x1_0000).and_then(|length| self.count(length, 2)).map(Item::Map)?
            }
            Marker::F32 => return Err(DecodeError::NotCanonical("a float")),
            Marker::Reserved => return Err(DecodeError::Unexpected { expected: "a value", marker }),
        })
    }

    pub(crate) fn uint(&mut self) -> Result<u64, DecodeError> {
        self.expect("an unsigned integer", |item| match item {
            Item::Uint(value) => Some(value),
            _ => None,
        })
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, DecodeError> {
        self.expect("text", |item| match item {
            Item::Str(text) => Some(text),
            _ => None,
        })
    }

    pub(crate) fn bin(&mut self) -> Result<&'a [u8], DecodeError> {
        self.expect("bytes", |item| match item {
            Item::Bin(bytes) => Some(bytes),
            _ => None,
        })
    }

    pub(crate) fn array(&mut self) -> Result<usize, DecodeError> {
        self.expect("an array", |item| match item {
            Item::Array(length) => Some(length),
            _ => None,
        })
    }

    pub(crate) fn map(&mut self) -> Result<usize, DecodeError> {
        self.expect("a map", |item| match item {
            Item::Map(length) => Some(length),
            _ => None,
        })
    }

    /// Passes over one item and all that it contains.
    pub(crate) fn skip(&mut self) -> Result<(), DecodeError> {
        let mut open = [0_usize; MAX_DEPTH];
        let mut depth = 0;
        loop {
            let inside = match self.item()? {
                Item::Array(length) => length,
                Item::Map(length) => length * 2,
                _ => 0,
            };
            if inside > 0 {
                *open.get_mut(depth).ok_or(DecodeError::TooDeep)? = inside;
                depth += 1;
                continue;
            }
            while depth > 0 {
                open[depth - 1] -= 1;
                if open[depth - 1] > 0 {
                    break;
                }
                depth -= 1;
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    #[inline]
    fn expect<T>(
        &mut self,
        expected: &'static str,
        pick: impl FnOnce(Item<'a>) -> Option<T>,
    ) -> Result<T, DecodeError> {
        let marker = *self.rest.first().ok_or(DecodeError::Truncated)?;
        pick(self.item()?).ok_or(DecodeError::Unexpected { expected, marker })
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(length).map_err(|_| DecodeError::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// A big-endian number of `size` bytes; below `least` a shorter form would have done.
    #[inline]
    fn wide(&mut self, size: u64, least: u64) -> Result<u64, DecodeError> {
        let value = self.take(size)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if value < least { Err(DecodeError::NotCanonical("a number or length")) } else { Ok(value) }
    }

    #[inline]
    fn text(&mut self, length: u64) -> Result<Item<'a>, DecodeError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(Item::Str).map_err(|_| DecodeError::NotUtf8)
    }

    #[inline]
    fn ext(&mut self, length: u64) -> Result<Item<'a>, DecodeError> {
        let code = self.byte()? as i8;
        self.take(length).map(|bytes| Item::Ext(code, bytes))
    }

    /// A container's length; each of its elements takes at least `least` bytes.
    #[inline]
    fn count(&self, length: u64, least: usize) -> Result<usize, DecodeError> {
        let length = usize::try_from(length).map_err(|_| DecodeError::Truncated)?;
        if length > self.rest.len() / least { Err(DecodeError::Truncated) } else { Ok(length) }
    }
}

/// A negative number; from `bound` up a shorter form would have done.
#[inline]
fn negative<'a>(value: i64, bound: i64) -> Result<Item<'a>, DecodeError> {
    if value < bound { Ok(Item::Nint(value)) } else { Err(DecodeError::NotCanonical("a number")) }
}
