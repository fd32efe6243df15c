//! The flusher: logs what is written, within a millisecond of a hint after a quiet moment and within a quarter of a
//! second of anything.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    model::hooks::{self, HookQueue},
    peer::Replica,
};

/// How often the flusher looks for writes that no hook told of: bulk statements, raw SQL, other processes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long the flusher rests after a failed flush; it doubles up to [`LONGEST_REST`].
const SHORTEST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Hints come before their commit: after a hint that found nothing the flusher looks again this often, this long apart.
const LOOKS_AFTER_HINT: u32 = 5;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);

/// After a flush that found something the flusher rests four times as long as the flush took: the write lock is mostly the
/// application's, and what a busy writer does meanwhile is one batch. Rest and the flush that follows, which will take
/// about as long as this one, are to fit into the time within which a write is logged.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LOGGED_WITHIN: Duration = Duration::from_millis(250);

/// How often it looks for held changes whose time has come.
const RELEASE_EVERY: Duration = Duration::from_secs(1);

/// How often it takes out history that nobody needs any more.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// Starts the flusher of a replica. It ends when `stopped` says so, or when the engine is gone.
pub(super) fn spawn_flusher(replica: &Arc<Replica>, stopped: watch::Receiver<bool>) {
    let models: Vec<_> = replica.models.adapters().iter().map(|adapter| adapter.spec().id.clone()).collect();
    let queue = hooks::subscribe(models, replica.limits.hook_queue, replica.runtime().time.clone());
    let spawn = replica.runtime().spawn.clone();
    let flusher = Flusher { replica: Arc::downgrade(replica), queue, stopped, rest: SHORTEST_REST };
    spawn.spawn(Box::pin(flusher.run()));
}

struct Flusher {
    replica: Weak<Replica>,
    queue: HookQueue,
    stopped: watch::Receiver<bool>,
    rest: Duration,
}

impl Flusher {
    async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut release = tokio::time::interval(RELEASE_EVERY);
        release.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut release_due = false;
        let mut prune = tokio::time::interval(PRUNE_EVERY);
        prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        prune.reset();
        let mut prune_due = false;
        loop {
            let hinted = tokio::select! {
                _ = self.stopped.wait_for(|stop| *stop) => return,
                () = self.queue.notified() => true,
                _ = look.tick() => false,
                _ = prune.tick() => {
                    prune_due = true;
                    false
                }
                _ = release.tick() => {
                    release_due = true;
                    false
                }
            };
            if std::mem::take(&mut release_due) {
                self.release().await;
            }
            if std::mem::take(&mut prune_due) {
                self.prune().await;
            }
            self.queue.drain();
            let looks = if hinted { LOOKS_AFTER_HINT } else { 1 };
            for _ in 0..looks {
                let Some(replica) = self.replica.upgrade() else { return };
                let began = Instant::now();
                if self.flush(&replica).await {
                    drop(replica);
                    let pause = pause_after(began.elapsed());
                    let stopped = self.stopped.wait_for(|stop| *stop);
                    if tokio::time::timeout(pause, stopped).await.is_ok() {
                        return;
                    }
                    break;
                }
                drop(replica);
                if hinted {
                    tokio::time::sleep(LOOK_AGAIN_AFTER).await;
                }
            }
        }
    }

    /// True if there was something to log.
    async fn flush(&mut self, replica: &Arc<Replica>) -> bool {
        match replica.flush().await {
            Ok(report) => {
                self.rest = SHORTEST_REST;
                report.changes > 0
            }
            Err(error) => {
                tracing::warn!(%error, rest = ?self.rest, "a flush failed; what is noted stays noted");
                tokio::time::sleep(self.rest).await;
                self.rest = (self.rest * 2).min(LONGEST_REST);
                false
            }
        }
    }

    async fn prune(&self) {
        let Some(replica) = self.replica.upgrade() else { return };
        match replica.prune().await {
            Ok(report) => {
                for device in report.expired {
                    tracing::debug!(%device, "history is not kept for this member any more: it was silent for too long");
                }
            }
            Err(error) => tracing::warn!(%error, "history could not be pruned now"),
        }
    }

    async fn release(&self) {
        let Some(replica) = self.replica.upgrade() else { return };
        if let Err(error) = replica.release_held().await {
            tracing::warn!(%error, "held changes could not be released now");
        }
    }
}

/// How long the flusher rests after a flush that took so long.
fn pause_after(flush: Duration) -> Duration {
    (flush * 4).min(LOGGED_WITHIN.saturating_sub(flush)).max(SHORTEST_PAUSE)
}
