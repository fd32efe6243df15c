//! How much one side takes from the other: the limits, and the intake of a body that keeps to them.
//!
//! Invariant: no byte beyond a limit is kept. Encoded bytes are counted as they come, compressed ones are
//! decoded step by step into a buffer that never grows beyond its limit, whatever the ratio, the number of
//! frames, or the sizes that a header claims.

use std::{fmt, time::Duration};

use axum::http::{HeaderMap, header};
use sync_core::PeerError;
use zstd::stream::raw::{DParameter, Decoder, Operation};

/// Bodies from this size on are compressed; below it the frame costs more than it saves.
pub(super) const COMPRESS_FROM: usize = 1024;

/// The fastest regular level: on changes the higher ones save less than a tenth more.
const LEVEL: i32 = 1;

/// A frame may ask for a window of at most 2^23 bytes, the 8 MiB that every decoder has to support. Without a
/// bound a header of some bytes makes the decoder allocate 128 MiB.
const WINDOW_LOG_MAX: u32 = 23;

/// Decoded bytes leave the decoder in steps of at most this many.
const STEP: usize = 64 * 1024;

/// What one side of a connection takes from the other. Reaching a limit changes nothing on either side.
///
/// A client uses the first three, a server all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The size of a body as it is sent, in bytes. 8 MiB: some ten thousand compressed changes, and not more
    /// than a slow connection carries within `request_timeout`.
    pub max_encoded: usize,
    /// The size of a body once decompressed, in bytes. 64 MiB: eight times the encoded limit, what changes
    /// compress to at best. A message that would take much more memory than this once read is refused as
    /// well. With `max_in_flight` it bounds the memory of a server.
    pub max_decoded: usize,
    /// The time for one call from its first byte to the last of its answer; watching is exempt. 2 minutes: an
    /// upload of `max_encoded` at 1 Mbit/s needs more than one.
    pub request_timeout: Duration,
    /// How many notice streams a server keeps open at once. 1024: each costs a socket and some kilobytes.
    pub max_watchers: usize,
    /// How many calls a server works on at once; one more is answered `Busy`. 32: the database behind has one
    /// writer, a longer queue only makes everybody wait.
    pub max_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_encoded: 8 * 1024 * 1024,
            max_decoded: 64 * 1024 * 1024,
            request_timeout: Duration::from_secs(120),
            max_watchers: 1024,
            max_in_flight: 32,
        }
    }
}

/// How the body of an HTTP message is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Zstd,
}

impl Coding {
    /// The coding that these headers announce; an unknown one is given back as text.
    pub(super) fn of_body(headers: &HeaderMap) -> Result<Self, String> {
        match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
            None => Ok(Self::Plain),
            Some(coding) if coding.is_empty() || coding.eq_ignore_ascii_case(b"identity") => Ok(Self::Plain),
            Some(coding) if coding.eq_ignore_ascii_case(b"zstd") => Ok(Self::Zstd),
            Some(coding) => Err(String::from_utf8_lossy(coding).into_owned()),
        }
    }
}

/// Compresses a body.
pub(super) fn compress(body: &[u8]) -> Result<Vec<u8>, PeerError> {
    zstd::bulk::compress(body, LEVEL)
        .map_err(|error| PeerError::Failed(format!("the message cannot be compressed: {error}")))
}

/// Takes in a body chunk by chunk.
pub(super) struct Intake {
    limits: Limits,
    encoded: usize,
    decoded: Vec<u8>,
    unpack: Option<Unpack>,
}

struct Unpack {
    decoder: Decoder<'static>,
    step: Box<[u8]>,
    /// True from the first byte of a frame to before its last.
    inside_frame: bool,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("encoded", &self.encoded)
            .field("decoded", &self.decoded.len())
            .finish()
    }
}

impl Intake {
    pub(super) fn new(coding: Coding, limits: Limits) -> Result<Self, PeerError> {
        let unpack = match coding {
            Coding::Plain => None,
            Coding::Zstd => Some(Unpack::new()?),
        };
        Ok(Self { limits, encoded: 0, decoded: Vec::new(), unpack })
    }

    /// Refuses by the announced length what [`take`](Self::take) would refuse later.
    pub(super) fn expect(&self, length: Option<u64>) -> Result<(), PeerError> {
        match length {
            Some(length) if length > self.limits.max_encoded as u64 => Err(self.too_long(length)),
            _ => Ok(()),
        }
    }

    /// Takes the next chunk of the body as it was sent.
    pub(super) fn take(&mut self, chunk: &[u8]) -> Result<(), PeerError> {
        self.encoded = self.encoded.saturating_add(chunk.len());
        if self.encoded > self.limits.max_encoded {
            return Err(self.too_long(self.encoded as u64));
        }
        match &mut self.unpack {
            None => keep(&mut self.decoded, chunk, self.limits.max_decoded),
            Some(unpack) => unpack.take(chunk, &mut self.decoded, self.limits.max_decoded),
        }
    }

    /// The decoded body.
    pub(super) fn finish(self) -> Result<Vec<u8>, PeerError> {
        match self.unpack {
            Some(unpack) if unpack.inside_frame => {
                Err(PeerError::Corrupt("the compressed body ends in the middle".into()))
            }
            _ => Ok(self.decoded),
        }
    }

    fn too_long(&self, length: u64) -> PeerError {
        let most = self.limits.max_encoded;
        PeerError::TooLarge(format!("a body of {length} bytes or more; {most} are taken: send less at once"))
    }
}

impl Unpack {
    fn new() -> Result<Self, PeerError> {
        let mut decoder = Decoder::new().map_err(unpack_failed)?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(unpack_failed)?;
        Ok(Self { decoder, step: vec![0; STEP].into_boxed_slice(), inside_frame: false })
    }

    fn take(&mut self, mut chunk: &[u8], decoded: &mut Vec<u8>, most: usize) -> Result<(), PeerError> {
        let mut more_waits = false;
        while !chunk.is_empty() || more_waits {
            let status = self
                .decoder
                .run_on_buffers(chunk, &mut self.step)
                .map_err(|error| PeerError::Corrupt(format!("the compressed body: {error}")))?;
            keep(decoded, &self.step[..status.bytes_written], most)?;
            chunk = &chunk[status.bytes_read..];
            self.inside_frame = status.remaining != 0;
            // A full step may have left something behind; at the end of a frame nothing is.
            more_waits = status.bytes_written == self.step.len() && self.inside_frame;
        }
        Ok(())
    }
}

fn keep(decoded: &mut Vec<u8>, bytes: &[u8], most: usize) -> Result<(), PeerError> {
    if decoded.len() + bytes.len() > most {
        return Err(PeerError::TooLarge(format!(
            "the decoded body exceeds {most} bytes; the rest was not decoded: send less at once"
        )));
    }
    decoded.extend_from_slice(bytes);
    Ok(())
}

fn unpack_failed(error: std::io::Error) -> PeerError {
    PeerError::Failed(format!("no decoder for the compressed body: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn limits(max_encoded: usize, max_decoded: usize) -> Limits {
        Limits { max_encoded, max_decoded, ..Limits::default() }
    }

    fn intake(body: &[u8], chunk: usize, limits: Limits) -> Result<Vec<u8>, PeerError> {
        let mut intake = Intake::new(Coding::Zstd, limits)?;
        body.chunks(chunk).try_for_each(|chunk| intake.take(chunk))?;
        intake.finish()
    }

    /// A frame of `length` zeros, made without holding them.
    fn bomb(length: usize) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        let zeros = [0; 64 * 1024];
        for _ in 0..length / zeros.len() {
            encoder.write_all(&zeros).unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_compressed_comes_back_whatever_the_chunks() {
        let plain: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let packed = compress(&plain).unwrap();
        assert!(packed.len() < plain.len() / 2);
        for chunk in [1, 3, 1000, usize::MAX] {
            assert_eq!(intake(&packed, chunk, Limits::default()).unwrap(), plain, "chunks of {chunk}");
        }
        for length in [0, 1, STEP - 1, STEP, STEP + 1, 2 * STEP] {
            let packed = compress(&plain[..length]).unwrap();
            assert_eq!(intake(&packed, 4096, Limits::default()).unwrap(), &plain[..length], "{length} bytes");
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_unfolds() {
        let packed = bomb(1 << 30);
        assert!(packed.len() < 200_000, "{} bytes", packed.len());
        let most = 1 << 20;
        let mut intake = Intake::new(Coding::Zstd, limits(1 << 20, most)).unwrap();
        assert!(matches!(intake.take(&packed), Err(PeerError::TooLarge(_))));
        assert!(intake.decoded.len() <= most, "{} bytes decoded", intake.decoded.len());
        assert!(intake.decoded.capacity() <= 2 * most, "{} bytes allocated", intake.decoded.capacity());
    }

    #[test]
    fn many_small_frames_share_the_limit() {
        let frame = compress(&[7; 1000]).unwrap();
        let frames = frame.repeat(100);
        assert_eq!(intake(&frames, 37, limits(frames.len(), 100_000)).unwrap(), vec![7; 100_000]);
        assert!(matches!(intake(&frames, 37, limits(frames.len(), 99_999)), Err(PeerError::TooLarge(_))));
        assert!(matches!(
            intake(&frames, 37, limits(frames.len() - 1, 100_000)),
            Err(PeerError::TooLarge(_))
        ));
    }

    #[test]
    fn skippable_frames_count_as_encoded_bytes_and_give_nothing() {
        let skippable = |length: u32| {
            let mut frame = 0x184D_2A50_u32.to_le_bytes().to_vec();
            frame.extend(length.to_le_bytes());
            frame.resize(8 + length as usize, 0xaa);
            frame
        };
        let mut body = skippable(5000);
        body.extend(compress(b"message").unwrap());
        assert_eq!(intake(&body, 100, limits(6000, 7)).unwrap(), b"message");
        assert!(matches!(intake(&body, 100, limits(5000, 7)), Err(PeerError::TooLarge(_))));
        let mut claims = skippable(10);
        claims[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(intake(&claims, 100, Limits::default()), Err(PeerError::Corrupt(_))));
    }

    #[test]
    fn a_frame_that_asks_for_a_huge_window_is_refused() {
        let window = |exponent: u8| [0x28, 0xb5, 0x2f, 0xfd, 0x00, exponent << 3, 0x01, 0x00, 0x00];
        assert_eq!(
            intake(&window(13), 100, Limits::default()).unwrap(),
            b"",
            "2^(10 + 13) bytes, an empty block"
        );
        assert!(matches!(intake(&window(14), 100, Limits::default()), Err(PeerError::Corrupt(_))));
    }

    #[test]
    fn a_body_that_ends_early_or_is_not_zstd_is_corrupt() {
        let packed = compress(&[1, 2, 3].repeat(10_000)).unwrap();
        for length in [1, 5, packed.len() - 1] {
            let result = intake(&packed[..length], 10, Limits::default());
            assert!(matches!(result, Err(PeerError::Corrupt(_))), "{length} bytes: {result:?}");
        }
        assert!(matches!(intake(b"not zstd at all", 4, Limits::default()), Err(PeerError::Corrupt(_))));
    }
}
