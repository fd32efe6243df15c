//! How much memory a message takes once it is read, judged before it is read.
//!
//! Invariant: a message that passes takes about as much memory as the limit on decoded bytes, not a multiple. A
//! list of empty byte strings has one byte of MessagePack for each, and 24 bytes of memory: without a bound a
//! compressed body of some kilobytes would take gigabytes although its bytes keep to every limit.

use sync_core::PeerError;

use super::Format;

/// The memory of one value, whatever is in it: the larger of a `ByteBuf`, an `Entry` and a JSON value.
const VALUE: usize = 32;

/// What a JSON object takes besides its values, in values: a node of a tree with room for eleven fields.
const OBJECT: usize = 20;

/// Refuses a message of more values than fit into `max_decoded` bytes of memory.
pub(super) fn check(format: Format, body: &[u8], max_decoded: usize) -> Result<(), PeerError> {
    let most = max_decoded / VALUE;
    // No value is shorter than a byte.
    if body.len() <= most {
        return Ok(());
    }
    let within = match format {
        Format::MessagePack => msgpack_within(body, most),
        Format::Json => json_within(body, most),
    };
    if within {
        return Ok(());
    }
    Err(PeerError::TooLarge(format!("a message of more than {most} values: send or ask for less at once")))
}

/// Counts along the markers. Containers need no stack: their elements follow and are counted as they come.
fn msgpack_within(mut body: &[u8], most: usize) -> bool {
    for _ in 0..most {
        let Some((marker, rest)) = body.split_first() else { return true };
        let payload = match marker {
            0xa0..=0xbf => usize::from(marker & 0x1f),
            0xc4 | 0xd9 => 1 + length(rest, 1),
            0xc5 | 0xda => 2 + length(rest, 2),
            0xc6 | 0xdb => 4 + length(rest, 4),
            0xc7 => 2 + length(rest, 1),
            0xc8 => 3 + length(rest, 2),
            0xc9 => 5 + length(rest, 4),
            0xcc | 0xd0 => 1,
            0xcd | 0xd1 | 0xdc | 0xde => 2,
            0xca | 0xce | 0xd2 | 0xdd | 0xdf => 4,
            0xcb | 0xcf | 0xd3 => 8,
            0xd4..=0xd8 => 1 + (1 << (marker - 0xd4)),
            _ => 0,
        };
        // What ends too early is not a message; the decoder says so.
        body = rest.get(payload..).unwrap_or_default();
    }
    body.is_empty()
}

/// The big-endian number in the first `bytes` bytes; 0 if there are fewer.
fn length(rest: &[u8], bytes: usize) -> usize {
    rest.get(..bytes).unwrap_or_default().iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
}

/// Counts what separates values, in texts as well: no honest text is near the bound.
fn json_within(body: &[u8], most: usize) -> bool {
    let weight = body.iter().map(|byte| match byte {
        b',' | b'[' | b':' => 1,
        b'{' => OBJECT,
        _ => 0,
    });
    weight.sum::<usize>() < most
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_bytes::ByteBuf;

    use super::*;

    /// The number of values in `message`, found by asking.
    fn count(message: &impl Serialize) -> usize {
        let body = rmp_serde::to_vec_named(message).unwrap();
        let bounds: Vec<usize> = (0..=body.len()).collect();
        bounds.partition_point(|most| !msgpack_within(&body, *most))
    }

    #[test]
    fn values_of_every_kind_count_as_one() {
        assert_eq!(count(&()), 1);
        for length in [0, 1, 31, 32, 255, 256, 65_535, 65_536] {
            assert_eq!(count(&"x".repeat(length)), 1, "a text of {length}");
            assert_eq!(count(&ByteBuf::from(vec![0xdc; length])), 1, "{length} bytes");
            assert_eq!(count(&vec![true; length]), 1 + length, "a list of {length}");
        }
        assert_eq!(count(&[0_u64, 127, 128, 256, 1 << 16, 1 << 32]), 7);
        assert_eq!(count(&[-1_i64, -33, -129, -32_769, i64::MIN]), 6);
        assert_eq!(count(&(1.5_f32, 1.5_f64, Some(1), None::<u8>)), 5);
        for (marker, length) in [(0xd4, 1), (0xd5, 2), (0xd6, 4), (0xd7, 8), (0xd8, 16)] {
            let mut extension = vec![marker, 7];
            extension.resize(2 + length, 0xc0);
            assert!(msgpack_within(&extension, 1), "{marker:x}");
        }
        assert!(msgpack_within(&[0xc7, 3, 7, 0xc0, 0xc0, 0xc0], 1));
        assert!(msgpack_within(&[0xc8, 0, 3, 7, 0xc0, 0xc0, 0xc0], 1));
        assert!(msgpack_within(&[0xc9, 0, 0, 0, 3, 7, 0xc0, 0xc0, 0xc0], 1));
    }

    #[test]
    fn lists_of_nothing_are_refused_and_large_values_are_not() {
        let nothing = vec![0x90; 100_000];
        assert!(matches!(check(Format::MessagePack, &nothing, 100_000), Err(PeerError::TooLarge(_))));
        let large = rmp_serde::to_vec(&ByteBuf::from(nothing)).unwrap();
        assert_eq!(check(Format::MessagePack, &large, 100_000), Ok(()));

        let check = |text: &str| check(Format::Json, text.repeat(10_000).as_bytes(), 100_000);
        assert!(matches!(check("[],"), Err(PeerError::TooLarge(_))));
        assert!(matches!(check("{},"), Err(PeerError::TooLarge(_))));
        assert_eq!(check("base64text"), Ok(()));
    }

    #[test]
    fn what_ends_early_is_left_to_the_decoder() {
        for body in [&[0xdb, 0xff, 0xff, 0xff, 0xff][..], &[0xdb, 0xff], &[0xcf], &[0xc6]] {
            assert!(msgpack_within(body, 1), "{body:x?}");
        }
    }
}
