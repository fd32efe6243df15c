//! The calls of a peer as messages: what a transport carries there and back.
//!
//! Invariant: a call is about one library, the one that [`Call::library`] gives; a server that checks rights
//! checks them against that.

use std::fmt::Debug;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Hello, Notice, ObjectsPage, ObjectsRequest, Peer, PeerError, PullRequest, PullResponse, PushRequest,
    PushResponse,
};
use crate::ids::LibraryId;

/// A message that asks for one answer, for transports that name the call beside the message (a path, a method).
#[async_trait]
pub trait Call: Into<Request> + Serialize + DeserializeOwned + Debug + Send + Sync + 'static {
    /// The name of the call, the same as that of the method of [`Peer`].
    const NAME: &'static str;
    /// What answers it.
    type Answer: TryFrom<Answer, Error = PeerError> + Serialize + DeserializeOwned + Debug + Send + 'static;

    /// The one library that the call is about: what the caller's rights are to be checked against.
    ///
    /// # Errors
    /// [`PeerError::Invalid`] for a push to one library with a pull from another.
    fn library(&self) -> Result<LibraryId, PeerError>;

    /// Puts the call to `peer`.
    ///
    /// # Errors
    /// Those of the peer.
    async fn ask(self, peer: &dyn Peer) -> Result<Self::Answer, PeerError>;
}

/// Everything that a peer can be asked, in one message: for transports that carry messages without a name beside.
///
/// ```
/// use futures_util::StreamExt;
/// use sync_core::{Answer, Hello, Peer, PeerError, Request};
///
/// /// The server's side of a call: bytes in, bytes out.
/// async fn served(peer: &dyn Peer, bytes: &[u8]) -> Result<Vec<u8>, PeerError> {
///     let mut answers = Request::decode(bytes)?.answers(peer).await;
///     let answer = answers.next().await.unwrap_or(Answer::Ended);
///     answer.encode()
/// }
///
/// /// The client's side.
/// async fn hello(line: &dyn Peer, hello: Hello) -> Result<Hello, PeerError> {
///     let bytes = served(line, &Request::from(hello).encode()?).await?;
///     Answer::decode(&bytes)?.try_into()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request {
    /// [`Peer::hello`].
    Hello(Hello),
    /// [`Peer::pull`].
    Pull(PullRequest),
    /// [`Peer::push`].
    Push(PushRequest),
    /// [`Peer::objects`].
    Objects(ObjectsRequest),
    /// [`Peer::watch`].
    Watch {
        /// The library.
        library: LibraryId,
    },
}

/// What comes back for a [`Request`]: one of these, or, for [`Request::Watch`], `Watching`, any number of
/// `Notice` and an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer {
    /// To [`Request::Hello`].
    Hello(Hello),
    /// To [`Request::Pull`].
    Pull(PullResponse),
    /// To [`Request::Push`].
    Push(PushResponse),
    /// To [`Request::Objects`].
    Objects(ObjectsPage),
    /// To [`Request::Watch`]: notices will follow.
    Watching,
    /// A notice of a watch.
    Notice(Notice),
    /// The notices of a watch have come to an end.
    Ended,
    /// To any request: the peer's own error.
    Refused(PeerError),
}

impl Request {
    /// The one library that the request is about: what the caller's rights are to be checked against.
    ///
    /// # Errors
    /// [`PeerError::Invalid`] for a push to one library with a pull from another.
    pub fn library(&self) -> Result<LibraryId, PeerError> {
        match self {
            Self::Hello(call) => call.library(),
            Self::Pull(call) => call.library(),
            Self::Push(call) => call.library(),
            Self::Objects(call) => call.library(),
            Self::Watch { library } => Ok(*library),
        }
    }

    /// Puts the request to `peer`; gives every answer that is to be sent back, in order. The stream of a watch goes
    /// on until the peer ends it; dropping it ends the watch.
    pub async fn answers(self, peer: &dyn Peer) -> BoxStream<'static, Answer> {
        let library = match self.library() {
            Ok(library) => library,
            Err(error) => return one(Answer::Refused(error)),
        };
        match self {
            Self::Hello(call) => one(Answer::of(peer.hello(call).await, Answer::Hello)),
            Self::Pull(call) => one(Answer::of(peer.pull(call).await, Answer::Pull)),
            Self::Push(call) => one(Answer::of(peer.push(call).await, Answer::Push)),
            Self::Objects(call) => one(Answer::of(peer.objects(call).await, Answer::Objects)),
            Self::Watch { .. } => match peer.watch(library).await {
                Ok(notices) => one(Answer::Watching)
                    .chain(notices.map(Answer::Notice))
                    .chain(stream::iter([Answer::Ended]))
                    .boxed(),
                Err(error) => one(Answer::Refused(error)),
            },
        }
    }
}

impl Answer {
    fn of<T>(result: Result<T, PeerError>, answer: impl FnOnce(T) -> Self) -> Self {
        result.map_or_else(Self::Refused, answer)
    }

    /// The error of an answer where another was due: the peer's own, or [`PeerError::Invalid`].
    pub fn into_error(self) -> PeerError {
        match self {
            Self::Refused(error) => error,
            _ => PeerError::Invalid("the answer is to another kind of request".into()),
        }
    }
}

/// The form of a message for transports that have none of their own: MessagePack with named fields.
macro_rules! bytes {
    ($message:ident) => {
        impl $message {
            /// The message as bytes: MessagePack with named fields, which a later version may add to.
            ///
            /// # Errors
            /// [`PeerError::Failed`] if it cannot be written.
            pub fn encode(&self) -> Result<Vec<u8>, PeerError> {
                rmp_serde::to_vec_named(self).map_err(|error| PeerError::Failed(error.to_string()))
            }

            /// The message that all of `bytes` are.
            ///
            /// # Errors
            /// [`PeerError::Invalid`] if they are not one, or more than one.
            pub fn decode(mut bytes: &[u8]) -> Result<Self, PeerError> {
                let message = Self::deserialize(&mut rmp_serde::Deserializer::new(&mut bytes));
                let message = message.map_err(|error| PeerError::Invalid(error.to_string()))?;
                if bytes.is_empty() {
                    Ok(message)
                } else {
                    Err(PeerError::Invalid(format!("{} bytes behind a message", bytes.len())))
                }
            }
        }
    };
}

bytes!(Request);
bytes!(Answer);

fn one(answer: Answer) -> BoxStream<'static, Answer> {
    stream::iter([answer]).boxed()
}

fn same(library: LibraryId) -> Result<LibraryId, PeerError> {
    Ok(library)
}

macro_rules! call {
    ($message:ident, $name:literal, $method:ident, $variant:ident -> $answer:ident, $library:expr) => {
        #[async_trait]
        impl Call for $message {
            const NAME: &'static str = $name;
            type Answer = $answer;

            fn library(&self) -> Result<LibraryId, PeerError> {
                let library: fn(&Self) -> Result<LibraryId, PeerError> = $library;
                library(self)
            }

            async fn ask(self, peer: &dyn Peer) -> Result<$answer, PeerError> {
                peer.$method(self).await
            }
        }

        impl From<$message> for Request {
            fn from(call: $message) -> Self {
                Self::$variant(call)
            }
        }

        /// The answer to this call; a refusal is the peer's error.
        impl TryFrom<Answer> for $answer {
            type Error = PeerError;

            fn try_from(answer: Answer) -> Result<Self, PeerError> {
                match answer {
                    Answer::$variant(answer) => Ok(answer),
                    other => Err(other.into_error()),
                }
            }
        }
    };
}

call!(Hello, "hello", hello, Hello -> Hello, |hello| same(hello.library));
call!(PullRequest, "pull", pull, Pull -> PullResponse, |pull| same(pull.library));
call!(ObjectsRequest, "objects", objects, Objects -> ObjectsPage, |objects| same(objects.library));
// The pull inside must be about the same library: else it would read one that nobody checked.
call!(PushRequest, "push", push, Push -> PushResponse, |push| match &push.pull {
    Some(pull) if pull.library != push.library => Err(PeerError::Invalid(format!(
        "a push to library {} with a pull from library {}",
        push.library, pull.library
    ))),
    _ => Ok(push.library),
});
