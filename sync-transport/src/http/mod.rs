//! x

mod admit;
mod answer;
mod auth;
mod call;
mod client;
mod error;
mod format;
mod json;
mod limits;
mod notices;
mod server;
mod status;
mod token;

pub use auth::{Authenticator, Identity, Tokens};
pub use client::{Compression, HttpPeer, HttpPeerBuilder};
pub use error::HttpError;
pub use format::Format;
pub use limits::Limits;
pub use server::{Libraries, Server, ServerHandle};
pub use token::{Token, TokenHash};
