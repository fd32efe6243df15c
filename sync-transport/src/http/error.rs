//! What can be wrong before a message is sent: an address, a token, a place to listen.

use std::{io, net::SocketAddr};

/// Why there can be no client, server or token. What goes wrong afterwards is a [`PeerError`](sync_core::PeerError).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The server would be open to everybody who reaches it.
    #[error(
        "a server without an authenticator listens on loopback only, not on {addr}: give it one, or bind 127.0.0.1"
    )]
    AuthenticationRequired {
        /// Where it was to listen.
        addr: SocketAddr,
    },
    /// The address of a peer is not one.
    #[error("not the address of a peer: {reason}")]
    InvalidUrl {
        /// What is wrong with it. Never the address itself, which may contain a password.
        reason: String,
    },
    /// The token cannot stand in a header.
    #[error("not a token: {reason}")]
    InvalidToken {
        /// What is wrong with it. Never the token itself.
        reason: &'static str,
    },
    /// The address begins with `https://`, and this program was built without it.
    #[error("https needs the feature \"tls\" of sync-transport, and this program was built without it")]
    TlsUnavailable,
    /// A root certificate cannot be read.
    #[error("the root certificate is not one in PEM form")]
    InvalidCertificate,
    /// The client cannot be made of its parts.
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[source] reqwest::Error),
    /// The listener is not usable.
    #[error("the listener has no local address: {0}")]
    Listener(#[source] io::Error),
}
