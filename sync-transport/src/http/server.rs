//! The server: peers behind HTTP, in a listener of its own or in an application's router.
//!
//! Invariant: without an [`Authenticator`] it answers callers on this machine only, whichever way it runs.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Extension, Router,
    extract::ConnectInfo,
    routing::{get, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use sync_core::{
    Call, Hello, LibraryId, ObjectsRequest, Peer, PeerError, PullRequest, PushRequest,
    runtime::{Spawn, TokioSpawn},
};
use tokio::{net::TcpListener, sync::Semaphore, time};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Authenticator, HttpError, Identity, Limits,
    admit::is_local,
    answer::{Shared, answer, watch},
    path::{VERSION, WATCH},
};

/// A connection that has not said what it wants for this long is closed. Clients drop idle ones earlier.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when no connection can be accepted: the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Finds the peer that keeps a library. A single peer is one: `Arc<dyn Peer>`.
#[async_trait]
pub trait Libraries: std::fmt::Debug + Send + Sync {
    /// The peer that keeps `library`, for `caller`, whose token allows the library.
    ///
    /// # Errors
    /// [`PeerError::WrongLibrary`] when none does, or whatever else the caller is to be told.
    async fn peer(&self, library: LibraryId, caller: &Identity) -> Result<Arc<dyn Peer>, PeerError>;
}

#[async_trait]
impl Libraries for Arc<dyn Peer> {
    async fn peer(&self, _library: LibraryId, _caller: &Identity) -> Result<Arc<dyn Peer>, PeerError> {
        Ok(self.clone())
    }
}

/// A server to be; see the [module](super) for an example.
#[derive(Debug)]
pub struct Server {
    libraries: Arc<dyn Libraries>,
    authenticator: Option<Arc<dyn Authenticator>>,
    limits: Limits,
    spawn: Arc<dyn Spawn>,
    closing: CancellationToken,
}

impl Server {
    /// Serves the libraries that `libraries` finds.
    pub fn new(libraries: impl Libraries + 'static) -> Self {
        Self {
            libraries: Arc::new(libraries),
            authenticator: None,
            limits: Limits::default(),
            spawn: Arc::new(TokioSpawn),
            closing: CancellationToken::new(),
        }
    }

    /// Serves one peer, which says itself which library it keeps.
    pub fn single(peer: impl Peer + 'static) -> Self {
        Self::new(Arc::new(peer) as Arc<dyn Peer>)
    }

    /// Lets in whom `authenticator` knows, from anywhere. Without one, only this machine is answered. To go on
    /// changing a set of [`Tokens`](super::Tokens), give an `Arc` of it.
    #[must_use]
    pub fn authenticator(self, authenticator: Arc<dyn Authenticator>) -> Self {
        Self { authenticator: Some(authenticator), ..self }
    }

    /// Takes these limits instead of the defaults.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Starts connections with `spawn` instead of the current tokio runtime.
    #[must_use]
    pub fn spawn(self, spawn: Arc<dyn Spawn>) -> Self {
        Self { spawn, ..self }
    }

    /// The routes, to be mounted into an application's own router, at the top or nested below a path.
    ///
    /// Without an authenticator they answer callers on this machine only, and need to be told who calls:
    /// serve the application with `into_make_service_with_connect_info::<SocketAddr>()`. TLS, and the time that
    /// a client may take for the head of a request, are the application's. Before a graceful shutdown call
    /// [`end_watches`](Self::end_watches), which needs the `Server` kept.
    pub fn router(&self) -> Router {
        let shared = Shared {
            libraries: self.libraries.clone(),
            authenticator: self.authenticator.clone(),
            limits: self.limits,
            in_flight: Semaphore::new(self.limits.max_in_flight.min(Semaphore::MAX_PERMITS)),
            watchers: Arc::new(Semaphore::new(self.limits.max_watchers.min(Semaphore::MAX_PERMITS))),
            closing: self.closing.clone(),
        };
        let path = |name: &str| format!("/{VERSION}/{name}");
        Router::new()
            .route(&path(Hello::NAME), post(answer::<Hello>))
            .route(&path(PullRequest::NAME), post(answer::<PullRequest>))
            .route(&path(PushRequest::NAME), post(answer::<PushRequest>))
            .route(&path(ObjectsRequest::NAME), post(answer::<ObjectsRequest>))
            .route(&path(&format!("{WATCH}/{{library}}")), get(watch))
            .with_state(Arc::new(shared))
    }

    /// Ends the streams of notices of all routers of this server, for good: they never end by themselves, and a
    /// graceful shutdown waits for them.
    pub fn end_watches(&self) {
        self.closing.cancel();
    }

    /// Serves on `listener`, in the background, until the handle shuts it down or is dropped.
    ///
    /// # Errors
    /// [`HttpError::AuthenticationRequired`] when the listener is reachable from other machines and there is no
    /// authenticator.
    ///
    /// # Panics
    /// Outside a tokio runtime, unless [`spawn`](Self::spawn) was given another.
    pub fn serve(self, listener: TcpListener) -> Result<ServerHandle, HttpError> {
        let addr = listener.local_addr().map_err(HttpError::Listener)?;
        if self.authenticator.is_none() && !is_local(addr.ip()) {
            return Err(HttpError::AuthenticationRequired { addr });
        }
        let ended = CancellationToken::new();
        let acceptor = Acceptor {
            listener,
            router: self.router(),
            spawn: self.spawn.clone(),
            patience: self.limits.request_timeout,
            closing: self.closing.clone(),
            _ended: ended.clone().drop_guard(),
        };
        self.spawn.spawn(Box::pin(acceptor.run()));
        Ok(ServerHandle { addr, closing: self.closing.drop_guard(), ended })
    }
}

/// A server that runs. Dropped, it stops as by [`shutdown`](Self::shutdown), but nobody waits for it.
#[derive(Debug)]
#[must_use = "the server stops when the handle is dropped"]
pub struct ServerHandle {
    addr: SocketAddr,
    closing: DropGuard,
    ended: CancellationToken,
}

impl ServerHandle {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more connections, ends the streams of notices, and waits for the calls being worked on, but not
    /// longer than [`Limits::request_timeout`]; what is left then is cut.
    pub async fn shutdown(self) {
        drop(self.closing);
        self.ended.cancelled().await;
    }
}

/// Accepts connections and ends them. Not axum's own loop: that has no bound on the time for a request's head,
/// and none on a graceful shutdown.
struct Acceptor {
    listener: TcpListener,
    router: Router,
    spawn: Arc<dyn Spawn>,
    patience: Duration,
    closing: CancellationToken,
    _ended: DropGuard,
}

impl Acceptor {
    async fn run(self) {
        let connections = GracefulShutdown::new();
        let cut = CancellationToken::new();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        while let Some(accepted) = self.closing.run_until_cancelled(self.listener.accept()).await {
            let (stream, caller) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    self.closing.run_until_cancelled(time::sleep(ACCEPT_PAUSE)).await;
                    continue;
                }
            };
            // Answers are one write each; waiting for more to send only delays them.
            let _ = stream.set_nodelay(true);
            let router = self.router.clone().layer(Extension(ConnectInfo(caller)));
            let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
            let connection = connections.watch(connection);
            let cut = cut.clone();
            self.spawn.spawn(Box::pin(async move {
                if let Some(Err(error)) = cut.run_until_cancelled(connection).await {
                    tracing::debug!(%caller, %error, "a connection broke");
                }
            }));
        }
        drop(self.listener);
        if time::timeout(self.patience, connections.shutdown()).await.is_err() {
            tracing::warn!("connections were cut at shutdown");
            cut.cancel();
        }
    }
}
