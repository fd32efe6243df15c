//! Who is let in: the bearer token of a request, or, on a server without an authenticator, that it comes from
//! this machine.
//!
//! Invariant: without an authenticator nothing is answered unless it is certain that the caller is local. A
//! proxy on this machine makes everybody look local, and so does a web page whose name was made to resolve to
//! 127.0.0.1; both betray themselves by their headers.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, header, request::Parts},
};
use sync_core::{LibraryId, PeerError};

use super::{Authenticator, Identity, Token};

const PROXY_HEADERS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Who sent a request with this head.
pub(super) async fn admit(
    authenticator: Option<&dyn Authenticator>,
    parts: &Parts,
) -> Result<Identity, PeerError> {
    match authenticator {
        Some(authenticator) => authenticator.authenticate(&bearer(&parts.headers)?).await,
        None => local_caller(parts).map_err(|reason| {
            PeerError::Unauthorized(format!(
                "a server without an authenticator answers local callers only: {reason}"
            ))
        }),
    }
}

/// Checks that `identity` may sync `library`.
pub(super) fn permit(identity: &Identity, library: LibraryId) -> Result<(), PeerError> {
    if identity.may_sync(library) {
        Ok(())
    } else {
        Err(PeerError::Forbidden(format!("the token of {} is not for library {library}", identity.name)))
    }
}

/// True for an address that only this machine reaches.
pub(super) fn is_local(addr: IpAddr) -> bool {
    addr.to_canonical().is_loopback()
}

fn bearer(headers: &HeaderMap) -> Result<Token, PeerError> {
    let refused = |reason: &str| PeerError::Unauthorized(reason.into());
    let value = headers.get(header::AUTHORIZATION).ok_or_else(|| refused("no bearer token was sent"))?;
    let text = value.to_str().map_err(|_| refused("the authorization header is not text"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Token::new(token.trim()).map_err(|error| PeerError::Unauthorized(error.to_string()))
        }
        _ => Err(refused("only bearer tokens are known here")),
    }
}

fn local_caller(parts: &Parts) -> Result<Identity, String> {
    let Some(ConnectInfo(caller)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
        return Err("the application around it does not say who calls \
             (axum's into_make_service_with_connect_info::<SocketAddr>)"
            .into());
    };
    if !is_local(caller.ip()) {
        return Err(format!("{caller} is not one"));
    }
    if let Some(name) = PROXY_HEADERS.into_iter().find(|name| parts.headers.contains_key(*name)) {
        return Err(format!("the request came through a proxy (it has the header {name})"));
    }
    match parts.headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default()) {
        Some(host) if !names_this_machine(host) => {
            Err(format!("the request is for the host {host:?}: use localhost or 127.0.0.1"))
        }
        _ => Ok(Identity::new("local")),
    }
}

fn names_this_machine(host: &str) -> bool {
    if let Ok(addr) = host.parse::<SocketAddr>() {
        return is_local(addr.ip());
    }
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_local)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(caller: Option<&str>, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post("/v1/hello");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        if let Some(caller) = caller {
            parts.extensions.insert(ConnectInfo(caller.parse::<SocketAddr>().unwrap()));
        }
        parts
    }

    #[test]
    fn only_this_machine_calls_a_server_without_an_authenticator() {
        let admitted = |caller, headers: &[(&str, &str)]| local_caller(&parts(caller, headers)).is_ok();
        assert!(admitted(Some("127.0.0.1:9"), &[("host", "127.0.0.1:80")]));
        assert!(admitted(Some("[::1]:9"), &[("host", "[::1]:80")]));
        assert!(admitted(Some("[::ffff:127.0.0.1]:9"), &[("host", "LocalHost")]));
        assert!(admitted(Some("127.0.0.1:9"), &[]));
        assert!(!admitted(None, &[("host", "127.0.0.1")]), "nobody says who calls");
        assert!(!admitted(Some("192.168.1.7:9"), &[("host", "127.0.0.1")]), "another machine");
        assert!(!admitted(Some("127.0.0.1:9"), &[("x-forwarded-for", "10.0.0.1")]), "behind a proxy");
        assert!(!admitted(Some("127.0.0.1:9"), &[("host", "evil.example:80")]), "a rebound name");
        assert!(!admitted(Some("127.0.0.1:9"), &[("host", "localhost.evil.example")]), "a rebound name");
        assert!(!admitted(Some("127.0.0.1:9"), &[("host", "10.0.0.1")]), "another address");
    }

    #[test]
    fn the_host_header_is_read_in_all_its_forms() {
        for host in ["localhost", "localhost:1", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:1"] {
            assert!(names_this_machine(host), "{host}");
        }
        for host in ["", "example", "localhost.example:1", "[::2]", "[::2]:1", "0.0.0.0", "127.0.0.1.example"]
        {
            assert!(!names_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_token_stands_behind_bearer() {
        let read = |value| bearer(&parts(None, &[("authorization", value)]).headers);
        assert_eq!(read("Bearer abc").unwrap(), Token::new("abc").unwrap());
        assert_eq!(read("bearer  abc").unwrap(), Token::new("abc").unwrap());
        for value in ["Basic YTpi", "Bearer", "Bearer ", "abc", "Bearer a b"] {
            assert!(matches!(read(value), Err(PeerError::Unauthorized(_))), "{value}");
        }
    }
}
