//! Carries the protocol of `sync-core` between processes and machines.
//!
//! A transport is a [`Peer`](sync_core::Peer) on the asking side and something that serves a `Peer` on the
//! other. It knows messages, never what is in them: no table, no model, no change is named here.
//!
//! | module | way |
//! |---|---|
//! | [`http`] | an axum server and a reqwest client: MessagePack or JSON, zstd, bearer tokens, notices as they happen |
//!
//! # Features
//!
//! `tls` lets the client speak `https` (rustls with ring). Without it such an address is refused with
//! [`HttpError::TlsUnavailable`](http::HttpError::TlsUnavailable).

pub mod http;
