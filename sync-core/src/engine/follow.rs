//! Keeping up with a peer: a round whenever either side has something new.
//!
//! Invariant: nothing here waits without a limit, so a lost notice or a hung connection delays a round, never ends it.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use tokio::sync::{mpsc, watch};

use super::handle::{Inner, SyncEngine};
use crate::{
    ids::Seq,
    peer::{Notice, Peer, Replica, Report, SyncError, SyncReport, sync_with},
};

/// A round begins at the latest after this long, whatever the notices say.
const POLL_EVERY: Duration = Duration::from_secs(30);

/// A round that takes longer than this without ending is given up and begun again.
const ROUND_LIMIT: Duration = Duration::from_secs(600);

/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`], and each is shortened by up to half at random,
/// so that many devices do not come back at once.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How a follow stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowState {
    /// Rounds that ended well.
    pub rounds: u64,
    /// Rounds that failed since the last one that ended well.
    pub failures: u64,
    /// What the last failure said; `None` once a round ends well again.
    pub last_error: Option<String>,
    /// What the last good round did.
    pub last_report: Option<SyncReport>,
    /// Everything of our log up to here was offered to the peer.
    pub sent: Seq,
    /// True once the follow has ended.
    pub stopped: bool,
}

/// A follow in progress; made by [`SyncEngine::follow`]. Dropping it does not stop it.
pub struct Follow {
    state: watch::Receiver<FollowState>,
    wake: mpsc::Sender<()>,
    stop: mpsc::Sender<()>,
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

impl Follow {
    pub(super) fn start(engine: &SyncEngine, peer: Arc<dyn Peer>, stopped: watch::Receiver<bool>) -> Self {
        let (wake, woken) = mpsc::channel(1);
        let (stop, stop_asked) = mpsc::channel(1);
        let (publish, state) = watch::channel(FollowState::default());
        let replica = Arc::downgrade(&engine.inner.replica);
        let task = Task { replica, peer, publish, woken, stop_asked, stopped };
        engine.inner.replica.runtime().spawn.spawn(Box::pin(task.run()));
        Inner::note_follow(&engine.inner, state.clone());
        Self { state, wake, stop }
    }

    /// How it stands now.
    pub fn status(&self) -> FollowState {
        self.state.borrow().clone()
    }

    /// Begins a round now instead of waiting for a notice or the end of a pause.
    pub fn sync_now(&self) {
        // A full channel means that a round is asked for already.
        let _ = self.wake.try_send(());
    }

    /// Waits until everything of this replica's log up to `position` was sent. [`SyncEngine::flush`] gives positions.
    ///
    /// # Errors
    /// [`SyncError::Shutdown`] if the follow ends before.
    pub async fn reached(&self, position: Seq) -> Result<(), SyncError> {
        self.sync_now();
        let mut state = self.state.clone();
        let reached = state.wait_for(|state| state.sent >= position || state.stopped).await;
        match reached {
            Ok(state) if state.sent >= position => Ok(()),
            _ => Err(SyncError::Shutdown),
        }
    }

    /// Waits for the next round that ends, well or not, and gives the state after it.
    ///
    /// # Errors
    /// [`SyncError::Shutdown`] if the follow ends before.
    pub async fn next_round(&self) -> Result<FollowState, SyncError> {
        let mut state = self.state.clone();
        let before = state.borrow_and_update().clone();
        let changed = |state: &FollowState| {
            state.rounds != before.rounds || state.failures != before.failures || state.stopped
        };
        let state = state.wait_for(changed).await.map_err(|_| SyncError::Shutdown)?.clone();
        if state.stopped { Err(SyncError::Shutdown) } else { Ok(state) }
    }

    /// Ends the follow after the round in progress, and waits for its end.
    pub async fn stop(self) {
        let _ = self.stop.try_send(());
        let mut state = self.state;
        let _ = state.wait_for(|state| state.stopped).await;
    }
}

struct Task {
    replica: std::sync::Weak<Replica>,
    peer: Arc<dyn Peer>,
    publish: watch::Sender<FollowState>,
    woken: mpsc::Receiver<()>,
    stop_asked: mpsc::Receiver<()>,
    stopped: watch::Receiver<bool>,
}

/// Why a wait ended.
#[derive(PartialEq, Eq)]
enum Woken {
    Round,
    Stop,
}

impl Task {
    async fn run(mut self) {
        let mut pause = SHORTEST_PAUSE;
        let mut notices: Option<BoxStream<'static, Notice>> = None;
        loop {
            let Some(replica) = self.replica.upgrade() else { break };
            let mut local = replica.reports();
            if notices.is_none() {
                notices = self.peer.watch(replica.identity().library).await.ok();
            }
            let ended = self.round(&replica).await;
            let random = replica.runtime().random.clone();
            drop(replica);
            let woken = match ended {
                Ok(()) => {
                    pause = SHORTEST_PAUSE;
                    self.wait(&mut notices, &mut local).await
                }
                Err(Woken::Stop) => break,
                Err(Woken::Round) => {
                    notices = None;
                    let mut byte = [0];
                    random.fill(&mut byte);
                    let shortened = pause.mul_f64(1.0 - f64::from(byte[0]) / 512.0);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    self.rest(shortened).await
                }
            };
            if woken == Woken::Stop {
                break;
            }
        }
        self.publish.send_modify(|state| state.stopped = true);
    }

    /// One round; its outcome is published.
    async fn round(&mut self, replica: &Arc<Replica>) -> Result<(), Woken> {
        let before = replica.position().await.unwrap_or_default();
        let ended = tokio::select! {
            ended = tokio::time::timeout(ROUND_LIMIT, sync_with(replica, self.peer.as_ref())) => ended,
            _ = self.stopped.wait_for(|stop| *stop) => return Err(Woken::Stop),
        };
        match ended {
            Ok(Ok(report)) => {
                self.publish.send_modify(|state| {
                    state.rounds += 1;
                    state.failures = 0;
                    state.last_error = None;
                    state.sent = state.sent.max(before);
                    state.last_report = Some(report);
                });
                Ok(())
            }
            Ok(Err(error)) => {
                self.failed(error.to_string());
                Err(Woken::Round)
            }
            Err(_) => {
                self.failed(format!("the round did not end within {} s", ROUND_LIMIT.as_secs()));
                Err(Woken::Round)
            }
        }
    }

    fn failed(&self, error: String) {
        tracing::info!(%error, "a round failed; it is tried again");
        self.publish.send_modify(|state| {
            state.failures += 1;
            state.last_error = Some(error);
        });
    }

    /// Waits for something new on either side.
    async fn wait(
        &mut self,
        notices: &mut Option<BoxStream<'static, Notice>>,
        local: &mut tokio::sync::broadcast::Receiver<Report>,
    ) -> Woken {
        let poll = tokio::time::sleep(POLL_EVERY);
        tokio::pin!(poll);
        loop {
            let notice = async {
                match notices {
                    Some(stream) => stream.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.stopped.wait_for(|stop| *stop) => return Woken::Stop,
                _ = self.stop_asked.recv() => return Woken::Stop,
                _ = self.woken.recv() => return Woken::Round,
                () = &mut poll => return Woken::Round,
                notice = notice => {
                    if notice.is_none() {
                        // The peer went away: the next round finds out, and asks for notices again.
                        *notices = None;
                    }
                    return Woken::Round;
                }
                report = local.recv() => match report {
                    Ok(Report::Local { .. }) => return Woken::Round,
                    Ok(_) => {}
                    Err(_) => return Woken::Round,
                },
            }
        }
    }

    async fn rest(&mut self, pause: Duration) -> Woken {
        tokio::select! {
            _ = self.stopped.wait_for(|stop| *stop) => Woken::Stop,
            _ = self.stop_asked.recv() => Woken::Stop,
            _ = self.woken.recv() => Woken::Round,
            () = tokio::time::sleep(pause) => Woken::Round,
        }
    }
}

impl Inner {
    fn note_follow(inner: &Arc<Self>, state: watch::Receiver<FollowState>) {
        let mut follows = inner.follows.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        follows.retain(|known| !known.borrow().stopped);
        follows.push(state);
    }
}
