//! The client: a [`Peer`] at the other end of an HTTP connection.
//!
//! Invariant: every failure is a [`PeerError`] named by what the caller can do, whatever stands at the other
//! end; nothing of an answer is kept beyond the limits; the token is never printed.

use std::{fmt, net::IpAddr, time::Duration};

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use futures_util::stream::BoxStream;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, Url, redirect};
use serde::de::DeserializeOwned;
use sync_core::{
    Call, Hello, LibraryId, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest, PullResponse,
    PushRequest, PushResponse,
};

use super::{
    Format, HttpError, Limits, Token,
    limits::{COMPRESS_FROM, Coding, Intake, compress},
    notices,
    path::{VERSION, WATCH},
    status::error_of,
};

/// A peer that answers connects within this or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Less than the time after which a server closes an idle connection, so that no call is sent into a closed one.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);

/// Whether bodies are compressed, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// With zstd, from 1 KiB on.
    #[default]
    Zstd,
    /// Never: to read along, or where the line is faster than the processor.
    Off,
}

/// A peer reached over HTTP. Clones share their connections.
///
/// Redirects are not followed: a push must not end where nobody meant it to. The proxies of the environment
/// (`HTTP_PROXY` and the like) are used, except for addresses of this machine.
#[derive(Clone)]
pub struct HttpPeer {
    http: Client,
    base: Url,
    authorization: Option<HeaderValue>,
    format: Format,
    compression: Compression,
    limits: Limits,
}

impl HttpPeer {
    /// The peer at `url`: where the server's routes are mounted, without `/v1`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`HttpError`] when there can be no peer at this address.
    pub fn new(url: impl AsRef<str>, token: impl Into<Option<Token>>) -> Result<Self, HttpError> {
        Self::builder(url).token(token).build()
    }

    /// The same with everything to choose.
    pub fn builder(url: impl AsRef<str>) -> HttpPeerBuilder {
        HttpPeerBuilder {
            url: url.as_ref().to_owned(),
            token: None,
            format: Format::default(),
            compression: Compression::default(),
            limits: Limits::default(),
            connect_timeout: CONNECT_TIMEOUT,
            #[cfg(feature = "tls")]
            roots: Vec::new(),
        }
    }

    /// Where the peer is.
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    async fn call<C: Call>(&self, call: C) -> Result<C::Answer, PeerError> {
        let body = self.format.encode(&call)?;
        let request = self
            .http
            .post(self.address(C::NAME))
            .timeout(self.limits.request_timeout)
            .header(header::CONTENT_TYPE, self.format.media_type())
            .header(header::ACCEPT, self.format.media_type());
        let response = self.packed(request, body)?.send().await.map_err(|error| unreachable(&error))?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(response).await);
        }
        self.read(response).await
    }

    /// The request with this body, compressed if that is wanted and worth it.
    fn packed(&self, request: RequestBuilder, body: Vec<u8>) -> Result<RequestBuilder, PeerError> {
        let plain = body.len();
        let (mut request, body) = match self.compression {
            Compression::Zstd if plain >= COMPRESS_FROM => {
                (request.header(header::CONTENT_ENCODING, "zstd"), compress(&body)?)
            }
            _ => (request, body),
        };
        if body.len() > self.limits.max_encoded || plain > self.limits.max_decoded {
            return Err(PeerError::TooLarge(format!(
                "a message of {plain} bytes, {} as sent, was not sent: send less at once",
                body.len()
            )));
        }
        if self.compression == Compression::Zstd {
            request = request.header(header::ACCEPT_ENCODING, "zstd");
        }
        Ok(self.authorized(request).body(body))
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(authorization) => request.header(header::AUTHORIZATION, authorization.clone()),
            None => request,
        }
    }

    fn address(&self, path: &str) -> String {
        format!("{}{VERSION}/{path}", self.base)
    }

    async fn read<T: DeserializeOwned>(&self, mut response: Response) -> Result<T, PeerError> {
        let invalid = |reason: &str| {
            PeerError::Invalid(format!(
                "the answer is {reason}: is {} the address of a sync server?",
                self.base
            ))
        };
        let format = Format::of_body(response.headers())
            .ok_or_else(|| invalid("neither application/msgpack nor application/json"))?;
        let coding = Coding::of_body(response.headers())
            .map_err(|coding| invalid(&format!("encoded as {coding:?}")))?;
        let mut intake = Intake::new(coding, self.limits)?;
        intake.expect(response.content_length())?;
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
            intake.take(&chunk)?;
        }
        format.decode(&intake.finish()?, self.limits.max_decoded)
    }

    /// Why the peer refused: what it says itself, or else what its status says.
    async fn refusal(&self, response: Response) -> PeerError {
        let status = response.status();
        let location = response.headers().get(header::LOCATION).cloned();
        let location = location.as_ref().and_then(|location| location.to_str().ok());
        self.read(response).await.unwrap_or_else(|_| error_of(status, location))
    }
}

impl fmt::Debug for HttpPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPeer")
            .field("url", &self.base.as_str())
            .field("format", &self.format)
            .field("has_token", &self.authorization.is_some())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Peer for HttpPeer {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        self.call(hello).await
    }

    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        self.call(request).await
    }

    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError> {
        self.call(request).await
    }

    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        self.call(request).await
    }

    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        let accept = format!("{}, {};q=0.5", notices::MEDIA_TYPE, self.format.media_type());
        let request =
            self.http.get(self.address(&format!("{WATCH}/{library}"))).header(header::ACCEPT, accept);
        // Only until it begins: a stream lasts as long as it lasts.
        let begun = tokio::time::timeout(self.limits.request_timeout, self.authorized(request).send()).await;
        let response = begun
            .map_err(|_| PeerError::Unreachable("the stream of notices did not begin in time".into()))?
            .map_err(|error| unreachable(&error))?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(response).await);
        }
        if !is_event_stream(response.headers()) {
            return Err(PeerError::Invalid(format!("the answer is not of the type {}", notices::MEDIA_TYPE)));
        }
        Ok(notices::read(response, library))
    }
}

/// Makes an [`HttpPeer`].
#[derive(Debug)]
pub struct HttpPeerBuilder {
    url: String,
    token: Option<Token>,
    format: Format,
    compression: Compression,
    limits: Limits,
    connect_timeout: Duration,
    #[cfg(feature = "tls")]
    roots: Vec<Vec<u8>>,
}

impl HttpPeerBuilder {
    /// The token to show; `None` for a server on this machine without an authenticator.
    #[must_use]
    pub fn token(self, token: impl Into<Option<Token>>) -> Self {
        Self { token: token.into(), ..self }
    }

    /// The format to write in and to ask for.
    #[must_use]
    pub fn format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// Whether bodies are compressed.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// Takes these limits instead of the defaults.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// How long a peer may take to accept the connection; 10 seconds if not said.
    #[must_use]
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// Trusts this root certificate, or these if there are several (PEM), besides those of the system.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// The peer. Nothing is sent yet.
    ///
    /// # Errors
    /// [`HttpError`] when there can be no peer at this address, or a certificate cannot be read.
    pub fn build(self) -> Result<HttpPeer, HttpError> {
        let base = base_url(&self.url)?;
        let authorization = self.token.as_ref().map(authorization).transpose()?;
        let mut http = Client::builder()
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_CONNECTION)
            .redirect(redirect::Policy::none())
            // Another crate of the program may have built these in; they decode without a limit.
            .no_zstd()
            .no_gzip()
            .no_brotli()
            .no_deflate();
        if is_this_machine(&base) {
            http = http.no_proxy();
        } else if base.scheme() == "http" && authorization.is_some() {
            tracing::warn!(url = %base, "the token is sent unencrypted: use https outside a trusted network");
        }
        http = self.trusting(http)?;
        Ok(HttpPeer {
            http: http.build().map_err(HttpError::Client)?,
            base,
            authorization,
            format: self.format,
            compression: self.compression,
            limits: self.limits,
        })
    }

    #[cfg(feature = "tls")]
    fn trusting(&self, http: ClientBuilder) -> Result<ClientBuilder, HttpError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Fails only if somebody else was quicker, which serves as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let mut roots = Vec::new();
        for pem in &self.roots {
            let read = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
            if read.is_empty() {
                return Err(HttpError::InvalidCertificate);
            }
            roots.extend(read);
        }
        Ok(if roots.is_empty() { http } else { http.tls_certs_merge(roots) })
    }

    #[cfg(not(feature = "tls"))]
    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the same signature as with the feature"
    )]
    fn trusting(&self, http: ClientBuilder) -> Result<ClientBuilder, HttpError> {
        Ok(http)
    }
}

fn base_url(text: &str) -> Result<Url, HttpError> {
    let invalid = |reason: String| HttpError::InvalidUrl { reason };
    let mut url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
    match url.scheme() {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => return Err(HttpError::TlsUnavailable),
        other => return Err(invalid(format!("it begins with {other}:, not with http: or https:"))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("it contains a user: give the token by itself".into()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it has a query or a fragment".into()));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn authorization(token: &Token) -> Result<HeaderValue, HttpError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.reveal()))
        .map_err(|_| HttpError::InvalidToken { reason: "it cannot stand in a header" })?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(super::admit::is_local)
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let Some(Ok(text)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    text.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(notices::MEDIA_TYPE))
}

/// The error with its causes: the first only says that something was wrong, the last says what.
fn unreachable(error: &reqwest::Error) -> PeerError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let says = inner.to_string();
        if !text.contains(&says) {
            text = format!("{text}: {says}");
        }
        cause = inner.source();
    }
    PeerError::Unreachable(text)
}
