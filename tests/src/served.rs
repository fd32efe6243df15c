//! A peer behind the real HTTP server, on a port of its own that it keeps when it comes back; and plain bytes in both directions.

use std::{net::SocketAddr, sync::Arc};

use sync_core::{
    LibraryId, Peer,
    runtime::{Spawn, SystemRandom, TokioSpawn},
};
use sync_transport::http::{HttpPeer, Identity, Limits, Server, ServerHandle, Token, Tokens};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// See the [module](self).
#[derive(Debug)]
pub struct Served {
    addr: SocketAddr,
    library: LibraryId,
    tokens: Arc<Tokens>,
    token: Token,
    limits: Limits,
    server: Option<ServerHandle>,
}

impl Served {
    /// `peer` behind a server whose one token allows `library`.
    pub async fn new(peer: impl Peer + 'static, library: LibraryId) -> Self {
        Self::with_limits(peer, library, Limits::default()).await
    }

    /// The same with these limits.
    pub async fn with_limits(peer: impl Peer + 'static, library: LibraryId, limits: Limits) -> Self {
        let tokens = Arc::new(Tokens::new());
        let token = tokens.generate(Identity::new("client").only([library]), &SystemRandom);
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut served = Self { addr, library, tokens, token, limits, server: None };
        served.start(peer).await;
        served
    }

    /// Serves `peer` where the one before was served.
    pub async fn start(&mut self, peer: impl Peer + 'static) {
        let listener = TcpListener::bind(self.addr).await.expect("the port is free");
        let server = Server::single(peer).authenticator(self.tokens.clone()).limits(self.limits);
        let server = server.serve(listener).expect("a server");
        self.addr = server.local_addr();
        self.server = Some(server);
    }

    /// Goes away; gives up the port.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown().await;
        }
    }

    /// Serves `peer` from now on, and nobody in between.
    pub async fn replace(&mut self, peer: impl Peer + 'static) {
        self.stop().await;
        self.start(peer).await;
    }

    /// The library that its token is good for.
    pub fn library(&self) -> LibraryId {
        self.library
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// A client with the right token.
    pub fn client(&self) -> HttpPeer {
        HttpPeer::new(self.url(), self.token.clone()).expect("a client")
    }

    /// A client with the right token and these limits.
    pub fn client_with_limits(&self, limits: Limits) -> HttpPeer {
        HttpPeer::builder(self.url()).token(self.token.clone()).limits(limits).build().expect("a client")
    }

    /// Lets the owner of this token in for `library` only.
    pub fn admit(&self, token: &Token, library: LibraryId) {
        self.tokens.add(token, Identity::new("other").only([library]));
    }

    /// Posts `body` as it is, with the right token and these headers: the status, and the body of the answer.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
        let mut request = format!(
            "POST /v1/{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
             accept: application/msgpack\r\ncontent-length: {}\r\n",
            self.token.reveal(),
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut line = TcpStream::connect(self.addr).await.expect("a connection");
        line.write_all(request.as_bytes()).await.expect("a request");
        line.write_all(body).await.expect("a request");
        let mut answer = Vec::new();
        line.read_to_end(&mut answer).await.expect("an answer");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the head of an answer");
        let status = std::str::from_utf8(&answer[9..12]).expect("a status").parse().expect("a status");
        (status, answer.split_off(end + 4))
    }
}

/// A server that gives this one answer, a MessagePack body with `headers`, to whatever is asked.
pub async fn answering(headers: &str, body: Vec<u8>) -> HttpPeer {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/msgpack\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    TokioSpawn.spawn(Box::pin(async move {
        while let Ok((mut line, _)) = listener.accept().await {
            // What was asked is of no interest, but a line with unread bytes would be reset. It is one small request.
            let _ = line.read(&mut [0; 65_536]).await;
            let _ = line.write_all(head.as_bytes()).await;
            let _ = line.write_all(&body).await;
            let _ = line.shutdown().await;
            let _ = line.read_to_end(&mut Vec::new()).await;
        }
    }));
    HttpPeer::new(url, None).expect("a client")
}
