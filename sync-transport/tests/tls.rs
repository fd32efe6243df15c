//! The client over TLS, against an application that brings its own: a certificate is trusted or refused.

use std::{io, net::SocketAddr, sync::Arc};

use axum::serve::Listener;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use sync_core::{
    Hello, LibraryId, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest, PullResponse,
    PushRequest, PushResponse, runtime::SystemRandom,
};
use sync_transport::http::{HttpError, HttpPeer, Identity, Server, Token, Tokens};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, rustls, server::TlsStream};

/// Answers that a snapshot is required, whatever it is asked.
#[derive(Debug)]
struct Empty;

#[async_trait::async_trait]
impl Peer for Empty {
    async fn hello(&self, _: Hello) -> Result<Hello, PeerError> {
        Err(PeerError::SnapshotRequired)
    }

    async fn pull(&self, _: PullRequest) -> Result<PullResponse, PeerError> {
        Err(PeerError::SnapshotRequired)
    }

    async fn push(&self, _: PushRequest) -> Result<PushResponse, PeerError> {
        Err(PeerError::SnapshotRequired)
    }

    async fn objects(&self, _: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        Err(PeerError::SnapshotRequired)
    }

    async fn watch(
        &self,
        _: LibraryId,
    ) -> Result<futures_util::stream::BoxStream<'static, Notice>, PeerError> {
        Err(PeerError::SnapshotRequired)
    }
}

struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, caller) = Listener::accept(&mut self.tcp).await;
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, caller);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// A server with a certificate of its own making: its address, the certificate, and a token for it.
#[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
#[expect(clippy::unwrap_used, reason = "tests end where something unexpected happens")]
async fn tls_server() -> (String, String, Token) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
    let tokens = Tokens::new();
    let token = tokens.generate(Identity::new("laptop"), &SystemRandom);
    let router = Server::single(Empty).authenticator(Arc::new(tokens)).router();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", tcp.local_addr().unwrap().port());
    let listener = TlsListener { tcp, tls: TlsAcceptor::from(Arc::new(config)) };
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, cert.pem(), token)
}

#[tokio::test]
async fn a_trusted_certificate_lets_messages_through() {
    let (url, certificate, token) = tls_server().await;
    let peer = HttpPeer::builder(&url).token(token).root_certificate(certificate.clone()).build().unwrap();
    let library = LibraryId::random(&SystemRandom);
    assert_eq!(peer.watch(library).await.err(), Some(PeerError::SnapshotRequired));

    let stranger = HttpPeer::builder(&url).root_certificate(certificate).build().unwrap();
    assert!(matches!(stranger.watch(library).await.err(), Some(PeerError::Unauthorized(_))));
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_before_the_token_is_shown() {
    let (url, _, token) = tls_server().await;
    let peer = HttpPeer::new(&url, token).unwrap();
    match peer.watch(LibraryId::random(&SystemRandom)).await.err() {
        Some(PeerError::Unreachable(why)) => assert!(why.contains("certificate"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let result = HttpPeer::builder("https://localhost").root_certificate("no certificate").build();
    assert!(matches!(result, Err(HttpError::InvalidCertificate)), "{result:?}");
}
