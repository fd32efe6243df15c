//! Serving a library, and syncing with one that is served.

use std::{net::SocketAddr, sync::Arc};

use sync_transport::http::{HttpPeer, Identity, Server, ServerHandle, Token, Tokens};
use tokio::net::TcpListener;

use crate::{error::AppError, library::Library};

/// Serves a library. Without a token only this machine may call.
pub(crate) async fn serve(
    library: &Library,
    listen: SocketAddr,
    token: Option<&str>,
) -> Result<ServerHandle, AppError> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|source| AppError::Io { path: listen.to_string(), source })?;
    let mut server = Server::single(library.engine.clone());
    if let Some(token) = token {
        let tokens = Tokens::new();
        tokens.add(&Token::new(token)?, Identity::new("a device"));
        server = server.authenticator(Arc::new(tokens));
    }
    Ok(server.serve(listener)?)
}

/// The client of a served library.
pub(crate) fn peer(url: &str, token: Option<&str>) -> Result<HttpPeer, AppError> {
    let token = token.map(Token::new).transpose()?;
    Ok(HttpPeer::new(url, token)?)
}
