//! The calls of the protocol as HTTP knows them: a name in the path, a message in, a message out.

use serde::{Serialize, de::DeserializeOwned};
use sync_core::{
    Hello, LibraryId, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest, PullResponse, PushRequest,
    PushResponse,
};

/// The first part of every path: the version of the HTTP form. The protocol's own version stands in `hello`.
pub(super) const VERSION: &str = "v1";

/// The path of the notices, before the library.
pub(super) const WATCH: &str = "watch";

/// A message that asks, named by its path.
pub(super) trait Call: Serialize + DeserializeOwned + Send + Sync + 'static {
    const NAME: &'static str;
    type Answer: Serialize + DeserializeOwned + Send;

    /// The one library that the call is about: what the caller's rights are checked against.
    fn library(&self) -> Result<LibraryId, PeerError>;

    fn ask(self, peer: &dyn Peer) -> impl Future<Output = Result<Self::Answer, PeerError>> + Send;
}

impl Call for Hello {
    const NAME: &'static str = "hello";
    type Answer = Hello;

    fn library(&self) -> Result<LibraryId, PeerError> {
        Ok(self.library)
    }

    async fn ask(self, peer: &dyn Peer) -> Result<Hello, PeerError> {
        peer.hello(self).await
    }
}

impl Call for PullRequest {
    const NAME: &'static str = "pull";
    type Answer = PullResponse;

    fn library(&self) -> Result<LibraryId, PeerError> {
        Ok(self.library)
    }

    async fn ask(self, peer: &dyn Peer) -> Result<PullResponse, PeerError> {
        peer.pull(self).await
    }
}

impl Call for PushRequest {
    const NAME: &'static str = "push";
    type Answer = PushResponse;

    /// The pull inside must be about the same library: else it would read one that nobody checked.
    fn library(&self) -> Result<LibraryId, PeerError> {
        match &self.pull {
            Some(pull) if pull.library != self.library => Err(PeerError::Invalid(format!(
                "a push to library {} with a pull from library {}",
                self.library, pull.library
            ))),
            _ => Ok(self.library),
        }
    }

    async fn ask(self, peer: &dyn Peer) -> Result<PushResponse, PeerError> {
        peer.push(self).await
    }
}

impl Call for ObjectsRequest {
    const NAME: &'static str = "objects";
    type Answer = ObjectsPage;

    fn library(&self) -> Result<LibraryId, PeerError> {
        Ok(self.library)
    }

    async fn ask(self, peer: &dyn Peer) -> Result<ObjectsPage, PeerError> {
        peer.objects(self).await
    }
}
