//! A peer's refusal as an HTTP status, and back where the answer carries no more than the status.
//!
//! The status is for proxies, logs and people. Between peers the error itself travels as the body, so that
//! every variant arrives as it left.

use axum::http::StatusCode;
use sync_core::PeerError;

/// A refusal on its way out.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: PeerError,
}

impl Refusal {
    /// The message is in a form that is not spoken here.
    pub(super) fn unsupported_media(reason: String) -> Self {
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, error: PeerError::Invalid(reason) }
    }
}

impl From<PeerError> for Refusal {
    fn from(error: PeerError) -> Self {
        Self { status: status_of(&error), error }
    }
}

fn status_of(error: &PeerError) -> StatusCode {
    match error {
        PeerError::WrongLibrary { .. } => StatusCode::NOT_FOUND,
        PeerError::Protocol { .. }
        | PeerError::SameDevice { .. }
        | PeerError::Itself
        | PeerError::TailTaken { .. }
        | PeerError::PartOnly => StatusCode::CONFLICT,
        PeerError::Unauthorized(_) => StatusCode::UNAUTHORIZED,
        PeerError::Forbidden(_) | PeerError::Revoked { .. } => StatusCode::FORBIDDEN,
        PeerError::SnapshotRequired => StatusCode::GONE,
        PeerError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        PeerError::Invalid(_) => StatusCode::BAD_REQUEST,
        PeerError::Corrupt(_) => StatusCode::UNPROCESSABLE_ENTITY,
        PeerError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        PeerError::Unreachable(_) => StatusCode::BAD_GATEWAY,
        PeerError::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What the caller can do about an answer that says nothing but its status: a proxy's, or another server's.
pub(super) fn error_of(status: StatusCode, location: Option<&str>) -> PeerError {
    let says = format!("HTTP {status}");
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => PeerError::Unauthorized(says),
        StatusCode::FORBIDDEN => PeerError::Forbidden(says),
        StatusCode::PAYLOAD_TOO_LARGE => PeerError::TooLarge(says),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => PeerError::Busy(says),
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => {
            PeerError::Unreachable(says)
        }
        _ => PeerError::Failed(match location {
            Some(location) if status.is_redirection() => {
                format!("{says} to {location}: redirects are not followed, use that address")
            }
            _ => format!("{says}: is this the address of a sync server?"),
        }),
    }
}
