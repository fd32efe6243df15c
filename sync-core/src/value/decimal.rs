//! Decimals as text in one normal form: `-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?`, and never `-0`.

/// More digits than this no database keeps; an exponent must not make a short text into a huge one.
const MAX_DIGITS: usize = 150_000;

/// The normal form of a number in plain or scientific notation.
pub(super) fn normalise(text: &str) -> Option<String> {
    if is_normal(text) {
        return Some(text.to_owned());
    }
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }

    let digits = format!("{whole}{fraction}");
    // Where the point stands in `digits`, once leading zeros are gone.
    let significant = digits.trim_start_matches('0');
    let leading = digits.len() - significant.len();
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    let point =
        i64::try_from(whole.len()).ok()?.checked_sub(i64::try_from(leading).ok()?)?.checked_add(exponent)?;
    let length = i64::try_from(significant.len()).ok()?;
    let total = usize::try_from(point.checked_abs()?.checked_add(length)?).ok()?;
    if total > MAX_DIGITS {
        return None;
    }

    let mut out = String::with_capacity(total + 3);
    if negative {
        out.push('-');
    }
    if point <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', point.unsigned_abs() as usize));
        out.push_str(significant);
    } else if point >= length {
        out.push_str(significant);
        out.extend(std::iter::repeat_n('0', (point - length) as usize));
    } else {
        let (before, after) = significant.split_at(point as usize);
        out.push_str(before);
        out.push('.');
        out.push_str(after);
    }
    Some(out)
}

/// The decimal that a float shows: its shortest text that reads as the same float.
pub(super) fn from_f64(value: f64) -> Option<String> {
    value.is_finite().then(|| normalise(&value.to_string())).flatten()
}

/// The float that SQLite makes of a decimal in its normal form: it reads as many digits as fit into 64 bits and takes
/// the others for zeros, so that the last bit may differ from that of the nearest float.
pub(super) fn to_sqlite_real(text: &str) -> Option<f64> {
    const FULL: u64 = (u64::MAX - 9) / 10;
    let (mut digits, mut exponent, mut fraction) = (0_u64, 0_i64, false);
    for byte in text.bytes() {
        match byte {
            b'-' => {}
            b'.' => fraction = true,
            _ if digits >= FULL => exponent += i64::from(!fraction),
            _ => {
                digits = digits * 10 + u64::from(byte - b'0');
                exponent -= i64::from(fraction);
            }
        }
    }
    let size: f64 = format!("{digits}e{exponent}").parse().ok()?;
    Some(if text.starts_with('-') { -size } else { size })
}

pub(super) fn is_normal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(|fraction| is_digits(fraction) && !fraction.ends_with('0'))
        && text != "-0"
}
