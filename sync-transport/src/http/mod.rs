//! The protocol over HTTP: [`Server`] puts peers behind routes, [`HttpPeer`] is the peer at the other end.
//!
//! Invariant: whatever goes wrong, in the network or on the other side, is a
//! [`PeerError`](sync_core::PeerError) that says what the caller can do; nothing is taken beyond the
//! [`Limits`], and nothing is answered to a caller whose token is not known.
//!
//! | route | what |
//! |---|---|
//! | `POST /v1/hello`, `/v1/pull`, `/v1/push`, `/v1/objects` | the calls of [`Peer`](sync_core::Peer), message for message |
//! | `GET /v1/watch/{library}` | server-sent events named `notice`, a [`Notice`](sync_core::Notice) as JSON in each |
//!
//! A body is `application/msgpack` (fields by name) or `application/json` (bytes as base64), compressed with
//! zstd or plain; the answer is what `accept` and `accept-encoding` ask for. An answer other than 200 has a
//! `PeerError` as its body, in the same format.
//!
//! # Example
//!
//! ```
//! # use std::sync::Arc;
//! # use async_trait::async_trait;
//! # use futures_util::{StreamExt, stream::{self, BoxStream}};
//! # use sync_core::*;
//! # use sync_core::runtime::SystemRandom;
//! # #[derive(Debug)]
//! # struct Engine;
//! # #[async_trait]
//! # impl Peer for Engine {
//! #     async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> { Ok(hello) }
//! #     async fn pull(&self, _: PullRequest) -> Result<PullResponse, PeerError> { Err(PeerError::SnapshotRequired) }
//! #     async fn push(&self, _: PushRequest) -> Result<PushResponse, PeerError> { Err(PeerError::SnapshotRequired) }
//! #     async fn objects(&self, _: ObjectsRequest) -> Result<ObjectsPage, PeerError> { Err(PeerError::SnapshotRequired) }
//! #     async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
//! #         Ok(stream::iter([Notice { library, latest_seq: Seq(7) }]).boxed())
//! #     }
//! # }
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let engine = Engine;
//! # let library = LibraryId::random(&SystemRandom);
//! use sync_transport::http::{HttpPeer, Identity, Server, Tokens};
//!
//! // The server: any peer, and who may ask it.
//! let tokens = Arc::new(Tokens::new());
//! let token = tokens.generate(Identity::new("laptop").only([library]), &SystemRandom);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let server = Server::single(engine).authenticator(tokens.clone()).serve(listener)?;
//!
//! // The client, elsewhere: a peer like any other.
//! let peer = HttpPeer::new(format!("http://{}", server.local_addr()), token)?;
//! let mut notices = peer.watch(library).await?;
//! assert_eq!(notices.next().await, Some(Notice { library, latest_seq: Seq(7) }));
//!
//! // Tokens are given and taken while the server runs.
//! tokens.remove("laptop");
//! assert!(matches!(peer.watch(library).await.err(), Some(PeerError::Unauthorized(_))));
//!
//! server.shutdown().await;
//! assert!(matches!(peer.watch(library).await.err(), Some(PeerError::Unreachable(_))));
//! # Ok(())
//! # }
//! ```
//!
//! In an application that has a router of its own: `Router::new().nest("/sync", server.router())`, and the
//! client gets the address with `/sync` behind it; see [`Server::router`].

mod admit;
mod answer;
mod auth;
mod client;
mod error;
mod format;
mod json;
mod limits;
mod notices;
mod path;
mod server;
mod status;
mod token;
mod weight;

pub use auth::{Authenticator, Identity, Tokens};
pub use client::{Compression, HttpPeer, HttpPeerBuilder};
pub use error::HttpError;
pub use format::Format;
pub use limits::Limits;
pub use server::{Libraries, Server, ServerHandle};
pub use token::{Token, TokenHash};
