//! The server's side of a call, from the head of a request to its answer.
//!
//! Invariant: a body is read only after its sender was let in, and decoded only within the limits; a peer is
//! asked only for a library that the caller may sync. Everything that goes wrong is answered by a
//! [`PeerError`] in the caller's own format.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, BodyDataStream},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use futures_util::StreamExt;
use serde::Serialize;
use sync_core::{Call, LibraryId, Peer, PeerError};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Authenticator, Libraries, Limits,
    admit::{admit, permit},
    format::{Format, accepts_zstd},
    limits::{COMPRESS_FROM, Coding, Intake, compress},
    notices,
    status::Refusal,
};

/// Once refused, a caller that is still sending is listened to for this long, so that it hears the answer.
const LISTEN: Duration = Duration::from_secs(5);

/// What all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) libraries: Arc<dyn Libraries>,
    pub(super) authenticator: Option<Arc<dyn Authenticator>>,
    pub(super) limits: Limits,
    pub(super) in_flight: Semaphore,
    pub(super) watchers: Arc<Semaphore>,
    /// Ends the streams of notices, which would not end by themselves.
    pub(super) closing: CancellationToken,
}

/// Answers a call.
pub(super) async fn answer<C: Call>(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let wanted = Wanted::of(&parts.headers);
    let mut body = body.into_data_stream();
    let answer = timeout(shared.limits.request_timeout, shared.call::<C>(&parts, &mut body)).await;
    match answer.unwrap_or_else(|_| Err(shared.too_slow())) {
        Ok(answer) => wanted.respond(StatusCode::OK, &answer),
        Err(refusal) => {
            // A connection closed on a caller that is still sending loses the answer, and the caller takes the
            // refusal for a broken line and tries again for ever.
            let _ = timeout(LISTEN, drain(&mut body, shared.limits.max_encoded)).await;
            wanted.refuse::<C>(refusal)
        }
    }
}

/// Answers with the stream of a library's notices.
pub(super) async fn watch(
    State(shared): State<Arc<Shared>>,
    Path(library): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let stream = timeout(shared.limits.request_timeout, shared.watch(&parts, &library)).await;
    stream.unwrap_or_else(|_| Err(shared.too_slow())).unwrap_or_else(|refusal| {
        tracing::debug!(library, error = %refusal.error, "refused to watch");
        Wanted::of(&parts.headers).respond_refusal(&refusal)
    })
}

impl Shared {
    async fn call<C: Call>(&self, parts: &Parts, body: &mut BodyDataStream) -> Result<C::Answer, Refusal> {
        let _in_flight = self.in_flight.try_acquire().map_err(|_| {
            PeerError::Busy(format!("{} calls are being worked on", self.limits.max_in_flight))
        })?;
        let caller = admit(self.authenticator.as_deref(), parts).await?;
        let format = Format::of_body(&parts.headers).ok_or_else(|| {
            Refusal::unsupported_media(
                "the content type is neither application/msgpack nor application/json".into(),
            )
        })?;
        let coding = Coding::of_body(&parts.headers).map_err(|coding| {
            Refusal::unsupported_media(format!(
                "the content encoding {coding:?} is neither zstd nor identity"
            ))
        })?;
        let body = self.read(&parts.headers, coding, body).await?;
        let call: C = format.decode(&body, self.limits.max_decoded)?;
        // The message has what it needs of it, and the peer may take its time.
        drop(body);
        let library = call.library()?;
        permit(&caller, library)?;
        let peer = self.libraries.peer(library, &caller).await?;
        Ok(call.ask(&*peer).await?)
    }

    async fn watch(&self, parts: &Parts, library: &str) -> Result<Response, Refusal> {
        let seat =
            self.watchers.clone().try_acquire_owned().map_err(|_| {
                PeerError::Busy(format!("{} replicas are watching", self.limits.max_watchers))
            })?;
        let caller = admit(self.authenticator.as_deref(), parts).await?;
        let library: LibraryId = library
            .parse()
            .map_err(|_| PeerError::Invalid(format!("{library:?} is not the id of a library")))?;
        permit(&caller, library)?;
        let peer: Arc<dyn Peer> = self.libraries.peer(library, &caller).await?;
        let stream = peer.watch(library).await?;
        Ok(notices::answer(stream, seat, self.closing.clone()))
    }

    async fn read(
        &self,
        headers: &HeaderMap,
        coding: Coding,
        body: &mut BodyDataStream,
    ) -> Result<Vec<u8>, PeerError> {
        let mut intake = Intake::new(coding, self.limits)?;
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        intake.expect(announced)?;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| PeerError::Corrupt(format!("the body broke off: {error}")))?;
            intake.take(&chunk)?;
        }
        intake.finish()
    }

    fn too_slow(&self) -> Refusal {
        PeerError::Busy(format!("the call took longer than {:?}", self.limits.request_timeout)).into()
    }
}

/// Reads on without keeping anything, up to `most` bytes.
async fn drain(body: &mut BodyDataStream, most: usize) {
    let mut drained = 0;
    while let Some(Ok(chunk)) = body.next().await {
        drained += chunk.len();
        if drained > most {
            return;
        }
    }
}

/// How the caller wants its answer.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    format: Format,
    coding: Coding,
}

impl Wanted {
    fn of(headers: &HeaderMap) -> Self {
        let coding = if accepts_zstd(headers) { Coding::Zstd } else { Coding::Plain };
        Self { format: Format::of_answer(headers), coding }
    }

    fn refuse<C: Call>(self, refusal: Refusal) -> Response {
        if refusal.status.is_server_error() {
            tracing::warn!(call = C::NAME, status = %refusal.status, error = %refusal.error, "failed");
        } else {
            tracing::debug!(call = C::NAME, status = %refusal.status, error = %refusal.error, "refused");
        }
        self.respond_refusal(&refusal)
    }

    fn respond_refusal(self, refusal: &Refusal) -> Response {
        let mut response = self.respond(refusal.status, &refusal.error);
        let headers = response.headers_mut();
        match refusal.error {
            PeerError::Unauthorized(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            PeerError::Busy(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }

    fn respond<T: Serialize>(self, status: StatusCode, message: &T) -> Response {
        let body = match self.format.encode(message) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written");
                return with_body(StatusCode::INTERNAL_SERVER_ERROR, Vec::new());
            }
        };
        let packed = match self.coding {
            Coding::Zstd if body.len() >= COMPRESS_FROM => compress(&body).ok(),
            _ => None,
        };
        let is_packed = packed.is_some();
        let mut response = with_body(status, packed.unwrap_or(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.format.media_type()));
        headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if is_packed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        }
        response
    }
}

fn with_body(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}
