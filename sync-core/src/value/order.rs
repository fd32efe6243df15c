//! Which of two values is the larger one, the same on every replica.
//!
//! Invariant: the order is total, and two values are equal in it exactly if they are equal. Numbers compare as numbers,
//! decimals too; instants as points in time, whatever their offset; text and bytes byte by byte. Values of different
//! types, which a column that keeps its type does not have, compare by type.

use std::cmp::Ordering;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::{SyncValue, decimal, float_bits, moment::Moment};

impl SyncValue {
    /// Compares two values as values of one column. `NULL` is the smallest, then comes NaN.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::I64(a), Self::I64(b)) => a.cmp(b),
            (Self::U64(a), Self::U64(b)) => a.cmp(b),
            (Self::F64(a), Self::F64(b)) => floats(*a, *b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => decimals(a, b),
            (Self::Time(a), Self::Time(b)) => point(a).cmp(&point(b)).then_with(|| a.cmp(b)),
            (Self::Json(_), Self::Json(_)) => self.encode().cmp(&other.encode()),
            _ => rank(self).cmp(&rank(other)),
        }
    }

    /// True for values that say nothing: `NULL` and NaN.
    pub(crate) fn is_blank(&self) -> bool {
        match self {
            Self::Null => true,
            Self::F64(value) => value.is_nan(),
            _ => false,
        }
    }
}

fn rank(value: &SyncValue) -> u8 {
    match value {
        SyncValue::Null => 0,
        SyncValue::F64(value) if value.is_nan() => 1,
        SyncValue::Bool(_) => 2,
        SyncValue::I64(_) => 3,
        SyncValue::U64(_) => 4,
        SyncValue::F64(_) => 5,
        SyncValue::Decimal(_) => 6,
        SyncValue::Time(_) => 7,
        SyncValue::Uuid(_) => 8,
        SyncValue::Text(_) => 9,
        SyncValue::Bytes(_) => 10,
        SyncValue::Json(_) => 11,
    }
}

fn floats(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => f64::from_bits(float_bits(a)).total_cmp(&f64::from_bits(float_bits(b))),
        (a, b) => b.cmp(&a),
    }
}

/// Compares the digits; text that is no decimal in its normal form comes first.
fn decimals(a: &str, b: &str) -> Ordering {
    match (decimal::is_normal(a), decimal::is_normal(b)) {
        (true, true) => {}
        (false, false) => return a.cmp(b),
        (a, b) => return a.cmp(&b),
    }
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (None, None) => sizes(a, b),
        (Some(a), Some(b)) => sizes(b, a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn sizes(a: &str, b: &str) -> Ordering {
    let (a_whole, a_fraction) = a.split_once('.').unwrap_or((a, ""));
    let (b_whole, b_fraction) = b.split_once('.').unwrap_or((b, ""));
    // Without trailing zeros the shorter of two fractions, one of which begins with the other, is the smaller.
    (a_whole.len(), a_whole, a_fraction).cmp(&(b_whole.len(), b_whole, b_fraction))
}

/// What a text says of a point in time: its parts, and where on the line of time it is.
fn point(text: &str) -> Option<(bool, bool, bool, NaiveDateTime)> {
    let moment = Moment::parse(text)?;
    let date = moment.date.unwrap_or(NaiveDate::MIN);
    let local = date.and_time(moment.time.unwrap_or(NaiveTime::MIN));
    let at = moment.offset.and_then(|offset| local.checked_sub_offset(offset)).unwrap_or(local);
    Some((moment.date.is_some(), moment.time.is_some(), moment.offset.is_some(), at))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use crate::value::{SyncValue, any_value};

    #[test]
    fn values_come_in_the_order_that_people_expect() {
        let decimals = ["-12.5", "-12.05", "-0.1", "0", "0.009", "0.01", "0.1", "2", "10", "10.01", "100"];
        let times = [
            "2024-01-01T00:30:00+02:00",
            "2023-12-31T23:00:00Z",
            "2024-01-01T00:00:00.25Z",
            "2024-01-01T00:00:00.5Z",
            "2024-01-01T12:00:00+01:00",
        ];
        let list = |values: &[&str], make: fn(String) -> SyncValue| -> Vec<SyncValue> {
            values.iter().map(|text| make((*text).to_owned())).collect()
        };
        let floats = [f64::NAN, f64::NEG_INFINITY, -1.5, -0.0, 0.0, 1e-300, 2.0, f64::INFINITY];
        for values in [
            list(&decimals, SyncValue::Decimal),
            list(&times, SyncValue::Time),
            list(&["", "A", "a", "aa", "b", "é"], SyncValue::Text),
            floats.map(SyncValue::F64).to_vec(),
            [i64::MIN, -1, 0, 9, 10, i64::MAX].map(SyncValue::I64).to_vec(),
            vec![SyncValue::Null, SyncValue::F64(f64::NAN), SyncValue::Bool(false), SyncValue::Bool(true)],
        ] {
            for pair in values.windows(2) {
                assert_eq!(pair[0].compare(&pair[1]), Ordering::Less, "{} {}", pair[0], pair[1]);
                assert_eq!(pair[1].compare(&pair[0]), Ordering::Greater, "{} {}", pair[0], pair[1]);
            }
        }
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in any_value(), b in any_value(), c in any_value()) {
            prop_assert_eq!(a.compare(&b), b.compare(&a).reverse());
            prop_assert_eq!(a.compare(&b) == Ordering::Equal, a == b, "{} {}", a, b);
            let mut sorted = [&a, &b, &c];
            sorted.sort_by(|a, b| a.compare(b));
            prop_assert_ne!(sorted[0].compare(sorted[2]), Ordering::Greater);
        }
    }
}
