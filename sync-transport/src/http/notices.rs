//! Notices as server-sent events: written by the server, read by the client.
//!
//! An event is named `notice` and has a [`Notice`] as JSON. The stream is a hint, never data: it may skip and
//! repeat, and either side ends it when anything is wrong with it. Nobody reconnects here; the one who follows
//! a peer does.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    http::HeaderName,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use sync_core::{LibraryId, Notice};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

pub(super) const MEDIA_TYPE: &str = "text/event-stream";

const NAME: &str = "notice";

/// A comment goes out after this much silence, so that proxies keep the stream and a dead client is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A stream silent for this long is dead: three comments are missing.
const SILENCE: Duration = KEEP_ALIVE.saturating_mul(3);

/// An event longer than this is no notice.
const LONGEST: usize = 16 * 1024;

/// The answer that streams `notices` until they end or the server closes. `permit` is held as long.
pub(super) fn answer(
    notices: BoxStream<'static, Notice>,
    permit: OwnedSemaphorePermit,
    closing: CancellationToken,
) -> Response {
    let events = notices.take_until(closing.cancelled_owned()).filter_map(move |notice| {
        let _held = &permit;
        let event = serde_json::to_string(&notice).map(|data| Event::default().event(NAME).data(data));
        std::future::ready(event.ok().map(Ok::<_, Infallible>))
    });
    // nginx holds streams back unless it is told not to.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    (unbuffered, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response()
}

/// The notices of `library` in a stream of events, until it ends, breaks, or falls silent.
pub(super) fn read(response: reqwest::Response, library: LibraryId) -> BoxStream<'static, Notice> {
    let state = (response, Events::default(), VecDeque::new());
    stream::unfold(state, |(mut response, mut events, mut notices)| async move {
        loop {
            if let Some(notice) = notices.pop_front() {
                return Some((notice, (response, events, notices)));
            }
            let chunk = match tokio::time::timeout(SILENCE, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return None,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the stream of notices broke");
                    return None;
                }
                Err(_) => {
                    tracing::debug!("the stream of notices fell silent");
                    return None;
                }
            };
            if let Err(NotEvents(reason)) = events.take(&chunk, &mut notices) {
                tracing::debug!(reason, "the stream of notices is not one");
                return None;
            }
        }
    })
    .filter(move |notice| std::future::ready(notice.library == library))
    .boxed()
}

#[derive(Debug)]
struct NotEvents(&'static str);

/// Reads events from bytes, in whatever pieces they come.
#[derive(Debug, Default)]
struct Events {
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    /// The last byte was a carriage return: a line feed now belongs to it.
    after_return: bool,
}

impl Events {
    fn take(&mut self, chunk: &[u8], notices: &mut VecDeque<Notice>) -> Result<(), NotEvents> {
        for &byte in chunk {
            let belongs_to_return = self.after_return && byte == b'\n';
            self.after_return = byte == b'\r';
            match byte {
                _ if belongs_to_return => {}
                b'\n' | b'\r' => self.end_line(notices)?,
                _ if self.line.len() + self.data.len() >= LONGEST => {
                    return Err(NotEvents("an event is too long"));
                }
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, notices: &mut VecDeque<Notice>) -> Result<(), NotEvents> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event(notices);
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = value.to_vec(),
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            // A comment, or a field that a notice does not use.
            _ => {}
        }
        Ok(())
    }

    fn end_event(&mut self, notices: &mut VecDeque<Notice>) -> Result<(), NotEvents> {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if name == NAME.as_bytes() && !data.is_empty() {
            let notice = serde_json::from_slice(&data).map_err(|_| NotEvents("a notice cannot be read"))?;
            notices.push_back(notice);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sync_core::Seq;

    use super::*;

    fn notice(seq: u64) -> Notice {
        Notice { library: LibraryId::from_bytes([9; 16]), latest_seq: Seq(seq) }
    }

    fn event(seq: u64, end: &str) -> String {
        format!("event: notice{end}data: {}{end}{end}", serde_json::to_string(&notice(seq)).unwrap())
    }

    fn read_in_pieces(text: &str, piece: usize) -> Result<Vec<Notice>, NotEvents> {
        let (mut events, mut notices) = (Events::default(), VecDeque::new());
        text.as_bytes().chunks(piece).try_for_each(|piece| events.take(piece, &mut notices))?;
        Ok(notices.into())
    }

    #[test]
    fn events_are_read_whatever_the_pieces_and_line_ends() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!(": hello{end}{end}{}id: 7{end}:{end}{}", event(1, end), event(2, end));
            for piece in [1, 2, 7, 1000] {
                let read = read_in_pieces(&text, piece).unwrap();
                assert_eq!(read, [notice(1), notice(2)], "{end:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn other_events_and_unfinished_ones_give_nothing() {
        let data = serde_json::to_string(&notice(1)).unwrap();
        let text = format!(
            "data: {data}\n\nevent: other\ndata: {data}\n\nevent: notice\n\nevent: notice\ndata: {data}\n"
        );
        assert_eq!(read_in_pieces(&text, 5).unwrap(), []);
    }

    #[test]
    fn an_endless_event_ends_the_stream() {
        assert!(read_in_pieces(&"x".repeat(LONGEST + 1), 100).is_err());
        assert!(read_in_pieces(&"data: x\n".repeat(LONGEST), 100).is_err());
        assert!(read_in_pieces(&": x\n".repeat(LONGEST), 100).is_ok(), "comments are endless by nature");
        assert!(read_in_pieces("event: notice\ndata: {}\n\n", 100).is_err());
    }
}
