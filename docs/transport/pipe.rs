//! A transport over any two-way stream of bytes: a Unix socket, a pipe to another process, a TLS stream.
//!
//! A frame is the length of its body (4 bytes, big-endian), the number of its request (8 bytes), and the body: an
//! encoded `Request` from the client, an encoded `Answer` from the server. A frame without a body takes its request
//! back. Who may connect, and to which library, is settled before [`serve`].

use std::sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering};
use std::{collections::HashMap, io, time::Duration};

use futures_util::{StreamExt, stream, stream::BoxStream};
use sync_core::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::{select, sync::mpsc, task::AbortHandle, task::JoinSet, time::timeout};

/// The longest body in bytes; a longer one is not sent, its call ends with [`PeerError::TooLarge`].
pub const MAX_BODY: usize = 16 << 20;
/// The most requests of one connection at once; one more is answered [`PeerError::Busy`].
pub const AT_ONCE: usize = 256;
/// A server that has not answered for so long is taken for gone.
pub const CALL_LIMIT: Duration = Duration::from_secs(120);

type Frames = mpsc::Sender<Vec<u8>>;
type Queue = mpsc::Receiver<Vec<u8>>;

fn frame(id: u64, body: &[u8]) -> Result<Vec<u8>, PeerError> {
    if body.len() > MAX_BODY {
        return Err(PeerError::TooLarge(format!("{} bytes in one message, not {MAX_BODY}", body.len())));
    }
    Ok([&(body.len() as u32).to_be_bytes()[..], &id.to_be_bytes(), body].concat())
}

async fn read_frame(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<(u64, Vec<u8>)> {
    let (length, id) = (reader.read_u32().await? as usize, reader.read_u64().await?);
    let mut body = Vec::new();
    reader.take(length.min(MAX_BODY) as u64).read_to_end(&mut body).await?;
    if body.len() == length { Ok((id, body)) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// One task writes, so that no frame is cut when its sender gives up.
async fn write_frames(mut to: impl AsyncWrite + Unpin, mut frames: Queue) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        to.write_all(&frame).await?;
        to.flush().await?;
    }
    Ok(())
}

/// Answers what comes over `stream` with what `peer` says, until the stream ends, which is an error like any other
/// of the stream. Dropped, it ends the connection.
pub async fn serve(stream: impl AsyncRead + AsyncWrite, peer: Arc<dyn Peer>) -> io::Result<()> {
    let (mut reader, writer) = tokio::io::split(stream);
    let (outgoing, frames) = mpsc::channel(16);
    let (mut tasks, mut running) = (JoinSet::new(), HashMap::<u64, AbortHandle>::new());
    let answering = async {
        loop {
            let (id, body) = read_frame(&mut reader).await?;
            while tasks.try_join_next().is_some() {}
            running.retain(|_, task| !task.is_finished());
            if let Some(taken_back) = running.remove(&id) {
                taken_back.abort();
            } else if running.len() >= AT_ONCE {
                send(id, Answer::Refused(PeerError::Busy("too many requests".into())), &outgoing).await;
            } else if !body.is_empty() {
                running.insert(id, tasks.spawn(answer(id, body, peer.clone(), outgoing.clone())));
            }
        }
    };
    select! { ended = answering => ended, ended = write_frames(writer, frames) => ended }
}

async fn answer(id: u64, body: Vec<u8>, peer: Arc<dyn Peer>, outgoing: Frames) {
    let mut answers = match Request::decode(&body) {
        Ok(request) => request.answers(&*peer).await,
        Err(error) => stream::iter([Answer::Refused(error)]).boxed(),
    };
    while let Some(answer) = answers.next().await {
        send(id, answer, &outgoing).await;
    }
}

async fn send(id: u64, answer: Answer, outgoing: &Frames) {
    let framed = |answer: Answer| frame(id, &answer.encode()?);
    if let Ok(frame) = framed(answer).or_else(|error| framed(Answer::Refused(error))) {
        // Fails only once the connection has ended, and this task with it.
        let _ = outgoing.send(frame).await;
    }
}

/// The server at the other end of a stream. Dropped, it ends the connection; an `Arc` of it is a peer to share.
#[derive(Debug)]
pub struct PipePeer {
    next: AtomicU64,
    waiting: Arc<Waiting>,
    outgoing: Frames,
    _task: JoinSet<()>,
}

const UNPOISONED: &str = "nothing panics under this lock";

/// Who waits for the answers to which request; `None` once the connection has ended.
type Waiting = Mutex<Option<HashMap<u64, mpsc::Sender<Answer>>>>;

impl PipePeer {
    /// Speaks to the server at the other end of `stream`, in a task of the current tokio runtime.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let (outgoing, frames) = mpsc::channel(16);
        let (waiting, mut task) = (Arc::new(Mutex::new(Some(HashMap::new()))), JoinSet::new());
        let (shared, back) = (waiting.clone(), outgoing.clone());
        task.spawn(async move {
            select! { _ = read_answers(reader, &shared, back) => {}, _ = write_frames(writer, frames) => {} }
            *shared.lock().expect(UNPOISONED) = None;
        });
        Self { next: AtomicU64::new(0), waiting, outgoing, _task: task }
    }

    async fn ask(&self, request: Request) -> Result<(Answer, mpsc::Receiver<Answer>), PeerError> {
        let gone = || PeerError::Unreachable("the connection has ended, or nothing came in time".into());
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let frame = frame(id, &request.encode()?)?;
        let (asker, mut answers) = mpsc::channel(64);
        if let Some(waiting) = self.waiting.lock().expect(UNPOISONED).as_mut() {
            waiting.insert(id, asker);
        }
        let first = async {
            self.outgoing.send(frame).await.ok()?;
            answers.recv().await
        };
        let first = timeout(CALL_LIMIT, first).await.ok().flatten().ok_or_else(gone)?;
        Ok((first, answers))
    }

    async fn call<C: Call>(&self, call: C) -> Result<C::Answer, PeerError> {
        self.ask(call.into()).await?.0.try_into()
    }
}

async fn read_answers(mut from: impl AsyncRead + Unpin, waiting: &Waiting, back: Frames) -> io::Result<()> {
    loop {
        let (id, body) = read_frame(&mut from).await?;
        let answer = Answer::decode(&body).unwrap_or_else(Answer::Refused);
        let goes_on = matches!(answer, Answer::Watching | Answer::Notice(_));
        let mut waiting = waiting.lock().expect(UNPOISONED);
        let Some(waiting) = waiting.as_mut() else { return Ok(()) };
        waiting.retain(|_, asker| !asker.is_closed());
        match waiting.get(&id) {
            // A slow watcher misses notices: they are hints, and nobody else is to wait for it.
            Some(asker) => drop(asker.try_send(answer)),
            // Its asker gave up. Where there is no room for it now, the next notice takes the request back.
            None if goes_on => drop(back.try_send([&[0; 4][..], &id.to_be_bytes()].concat())),
            None => {}
        }
        if !goes_on {
            waiting.remove(&id);
        }
    }
}

#[async_trait::async_trait]
impl Peer for PipePeer {
    async fn hello(&self, hello: Hello) -> Result<Hello, PeerError> {
        self.call(hello).await
    }
    async fn pull(&self, request: PullRequest) -> Result<PullResponse, PeerError> {
        self.call(request).await
    }
    async fn push(&self, request: PushRequest) -> Result<PushResponse, PeerError> {
        self.call(request).await
    }
    async fn objects(&self, request: ObjectsRequest) -> Result<ObjectsPage, PeerError> {
        self.call(request).await
    }
    async fn watch(&self, library: LibraryId) -> Result<BoxStream<'static, Notice>, PeerError> {
        match self.ask(Request::Watch { library }).await? {
            (Answer::Watching, answers) => Ok(stream::unfold(answers, async |mut answers| {
                let Some(Answer::Notice(notice)) = answers.recv().await else { return None };
                Some((notice, answers))
            })
            .boxed()),
            (other, _) => Err(other.into_error()),
        }
    }
}
