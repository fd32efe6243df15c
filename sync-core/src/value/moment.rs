//! Dates and times as text in one normal form: `2024-02-29`, `23:59:60.5`, `2024-02-29T23:59:59`, the same with `Z`
//! or `+02:00`. Fractions have no trailing zeros, an offset of zero is `Z`.
//!
//! Reading takes what SeaORM's drivers and SQLite's own functions write, too.

use std::fmt;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};

use super::ColumnKind;

/// What of a point in time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) date: Option<NaiveDate>,
    pub(super) time: Option<NaiveTime>,
    /// Seconds east of UTC.
    pub(super) offset: Option<FixedOffset>,
}

/// What a column of a time kind holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Date,
    Time,
    DateTime,
    /// An instant; the offset at which it is written down is of no account.
    Instant,
    /// An instant with an offset that is part of the value.
    Offset,
}

impl Shape {
    pub(super) fn of(kind: ColumnKind) -> Option<Self> {
        Some(match kind {
            ColumnKind::ChronoDate | ColumnKind::TimeDate => Self::Date,
            ColumnKind::ChronoTime | ColumnKind::TimeTime => Self::Time,
            ColumnKind::ChronoDateTime | ColumnKind::TimeDateTime => Self::DateTime,
            ColumnKind::ChronoDateTimeUtc | ColumnKind::ChronoDateTimeLocal => Self::Instant,
            ColumnKind::ChronoDateTimeWithTimeZone | ColumnKind::TimeDateTimeWithTimeZone => Self::Offset,
            _ => return None,
        })
    }
}

impl Moment {
    pub(super) fn date(date: NaiveDate) -> Self {
        Self { date: Some(date), time: None, offset: None }
    }

    pub(super) fn time(time: NaiveTime) -> Self {
        Self { date: None, time: Some(time), offset: None }
    }

    pub(super) fn local(at: NaiveDateTime, offset: Option<FixedOffset>) -> Self {
        Self { date: Some(at.date()), time: Some(at.time()), offset }
    }

    pub(super) fn instant(at: DateTime<FixedOffset>) -> Self {
        Self::local(at.naive_local(), Some(*at.offset()))
    }

    /// Date and time as they stand, without the offset.
    pub(super) fn naive(&self) -> Option<NaiveDateTime> {
        Some(self.date?.and_time(self.time?))
    }

    /// The instant; without an offset it is taken for UTC, as SeaORM's drivers do.
    pub(super) fn zoned(&self) -> Option<DateTime<FixedOffset>> {
        let offset = self.offset.unwrap_or(UTC);
        let utc = self.naive()?.checked_sub_offset(offset)?;
        Some(DateTime::from_naive_utc_and_offset(utc, offset))
    }

    pub(super) fn utc(&self) -> Option<DateTime<Utc>> {
        Some(self.zoned()?.with_timezone(&Utc))
    }

    /// What of it a column of this shape holds, if it gives all that the shape needs.
    pub(super) fn shaped(self, shape: Shape) -> Option<Self> {
        match shape {
            Shape::Date => (self.time.is_none() && self.date.is_some()).then_some(self),
            Shape::Time => {
                (self.date.is_none() && self.time.is_some()).then_some(Self { offset: None, ..self })
            }
            Shape::DateTime => self.naive().map(|at| Self::local(at, None)),
            Shape::Instant => self.utc().map(|at| Self::local(at.naive_utc(), Some(UTC))),
            Shape::Offset => self.zoned().map(|_| Self { offset: Some(self.offset.unwrap_or(UTC)), ..self }),
        }
    }

    /// Takes `YYYY-MM-DD`, `HH:MM[:SS[.F]]`, both with a `T` or a space between, each time with or without an
    /// offset. Digits beyond nanoseconds are dropped.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.get(2) == Some(&b':') {
            return Self::parse_time(None, bytes);
        }
        let (date, rest) = parse_date(bytes)?;
        match rest.split_first() {
            None => Some(Self::date(date)),
            Some((b'T' | b't' | b' ', time)) => Self::parse_time(Some(date), time),
            Some(_) => None,
        }
    }

    fn parse_time(date: Option<NaiveDate>, bytes: &[u8]) -> Option<Self> {
        let (hour, rest) = digits(bytes, 2)?;
        let (minute, mut rest) = digits(after(rest, b':')?, 2)?;
        let (mut second, mut nanos) = (0, 0);
        if let Some(seconds) = after(rest, b':') {
            (second, rest) = digits(seconds, 2)?;
            if let Some(fraction) = after(rest, b'.') {
                let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let kept = length.clamp(1, 9);
                let (value, _) = digits(fraction, kept)?;
                nanos = value * 10_u32.pow(9 - kept as u32);
                rest = &fraction[length..];
            }
        }
        // A leap second is the 59th with more than a second of nanoseconds.
        if second == 60 {
            (second, nanos) = (59, nanos + 1_000_000_000);
        }
        let time = NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?;
        Some(Self { date, time: Some(time), offset: parse_offset(rest)? })
    }

    /// True if `text` is exactly what is printed for what it says.
    pub(super) fn is_normal(text: &str) -> bool {
        let Some(moment) = Self::parse(text) else { return false };
        let plain = moment.offset.is_none() || moment.zoned().is_some();
        let mut rest = Expected(text);
        plain && fmt::write(&mut rest, format_args!("{moment}")).is_ok() && rest.0.is_empty()
    }
}

const UTC: FixedOffset = FixedOffset::east_opt(0).expect("zero is an offset");

/// Takes what is written off the front, or fails.
struct Expected<'a>(&'a str);

impl fmt::Write for Expected<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(date) = self.date {
            match date.year() {
                year @ 0..=9999 => write!(f, "{year:04}")?,
                year => write!(f, "{year:+05}")?,
            }
            write!(f, "-{:02}-{:02}", date.month(), date.day())?;
        }
        let Some(time) = self.time else { return Ok(()) };
        if self.date.is_some() {
            f.write_str("T")?;
        }
        let (leap, mut nanos) = (time.nanosecond() / 1_000_000_000, time.nanosecond() % 1_000_000_000);
        write!(f, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second() + leap)?;
        if nanos > 0 {
            let mut width = 9;
            while nanos % 10 == 0 {
                nanos /= 10;
                width -= 1;
            }
            write!(f, ".{nanos:0width$}")?;
        }
        match self.offset.filter(|_| self.date.is_some()).map(|offset| offset.local_minus_utc()) {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(seconds) => {
                let sign = if seconds < 0 { '-' } else { '+' };
                let minutes = seconds.unsigned_abs() / 60;
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

fn after(bytes: &[u8], expected: u8) -> Option<&[u8]> {
    bytes.split_first().filter(|(first, _)| **first == expected).map(|(_, rest)| rest)
}

fn digits(bytes: &[u8], count: usize) -> Option<(u32, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(count)?;
    let value = digits
        .iter()
        .try_fold(0_u32, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))?;
    Some((value, rest))
}

fn parse_date(bytes: &[u8]) -> Option<(NaiveDate, &[u8])> {
    let (sign, unsigned) = match bytes.first()? {
        b'-' => (-1, &bytes[1..]),
        b'+' => (1, &bytes[1..]),
        _ => (1, bytes),
    };
    let length = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // A year of five or six digits has a sign, so that nobody takes it for another one.
    let allowed = if unsigned.len() == bytes.len() { 4..=4 } else { 4..=6 };
    if !allowed.contains(&length) {
        return None;
    }
    let (year, rest) = digits(unsigned, length)?;
    let (month, rest) = digits(after(rest, b'-')?, 2)?;
    let (day, rest) = digits(after(rest, b'-')?, 2)?;
    let date = NaiveDate::from_ymd_opt(sign * i32::try_from(year).ok()?, month, day)?;
    Some((date, rest))
}

/// `Some(None)` if there is none, `None` if there is something else.
#[expect(clippy::option_option, reason = "absent and wrong are two things")]
fn parse_offset(bytes: &[u8]) -> Option<Option<FixedOffset>> {
    let sign = match bytes {
        [] => return Some(None),
        b"Z" | b"z" => return Some(Some(UTC)),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let (hours, rest) = digits(&bytes[1..], 2)?;
    let (minutes, rest) = digits(after(rest, b':')?, 2)?;
    if !rest.is_empty() || hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = i32::try_from((hours * 60 + minutes) * 60).ok()?;
    FixedOffset::east_opt(sign * seconds).map(Some)
}
