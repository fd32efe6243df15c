//! Notices: they arrive, they end, and they are in nobody's way.

use std::{pin::pin, time::Duration};

use futures_util::{StreamExt, future::select, stream::BoxStream};
use tokio::time::sleep;

use super::{
    Check, Link, Stage,
    double::Double,
    report::{Outcome, fail, same, shown},
    sample::{self, notice},
};
use crate::peer::{Notice, Peer, PeerError};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "notices_arrive",
        promise: "A notice reaches the watcher soon, with every field as it was sent, while calls go on",
        run: |stage| Box::pin(arrive(stage)),
    },
    Check {
        name: "many_watch",
        promise: "50 watchers of one client all hear of what is new",
        run: |stage| Box::pin(many(stage)),
    },
    Check {
        name: "a_watcher_leaves",
        promise: "A watcher that is dropped is let go at the server, and the others go on",
        run: |stage| Box::pin(leaves(stage)),
    },
    Check {
        name: "a_slow_watcher_is_in_nobodys_way",
        promise: "A watcher that does not read holds up no call and no other watcher, and reads on when it wakes",
        run: |stage| Box::pin(slow(stage)),
    },
    Check {
        name: "notices_end_with_the_peers",
        promise: "When the peer ends its notices, the watcher's stream ends",
        run: |stage| Box::pin(peer_ends(stage)),
    },
    Check {
        name: "notices_end_when_the_server_goes",
        promise: "When the server goes, the watcher's stream ends: it does not hang, so that its reader asks again",
        run: |stage| Box::pin(server_goes(stage)),
    },
    Check {
        name: "notices_without_their_client",
        promise: "A stream of notices whose client is dropped goes on or ends: it does not hang",
        run: |stage| Box::pin(without_client(stage)),
    },
];

type Notices = BoxStream<'static, Notice>;

async fn watch(stage: &Stage<'_>, client: &dyn Peer) -> Outcome<Notices> {
    let begun = stage.soon("a stream of notices that begins", client.watch(sample::LIBRARY)).await?;
    begun.or_else(|error: PeerError| fail("a stream of notices", shown(&error)))
}

async fn next(stage: &Stage<'_>, notices: &mut Notices) -> Outcome<Option<Notice>> {
    stage.soon("a notice, or the end of the notices", notices.next()).await
}

async fn hears(stage: &Stage<'_>, notices: &mut Notices, seq: u64) -> Outcome {
    same("the notice", &next(stage, notices).await?, &Some(notice(seq)))
}

/// Tells all watchers again and again until `event`: a notice may be skipped, and a transport may see that a
/// watcher is gone only when it writes to it.
async fn telling<T>(double: &Double, seq: u64, event: impl Future<Output = T>) -> T {
    let tell = pin!(async {
        loop {
            double.notify(&notice(seq));
            sleep(Duration::from_millis(1)).await;
        }
    });
    match select(pin!(event), tell).await {
        futures_util::future::Either::Left((value, _)) => value,
        futures_util::future::Either::Right((never, _)) => never,
    }
}

async fn arrive(stage: &Stage<'_>) -> Outcome {
    let (double, link) = stage.sampled().await?;
    let mut notices = watch(stage, &*link.client).await?;
    for seq in [1, 2, 2, u64::MAX] {
        double.notify(&notice(seq));
        hears(stage, &mut notices, seq).await?;
        stage.works(&*link.client).await?;
    }
    Ok(())
}

async fn many(stage: &Stage<'_>) -> Outcome {
    let (double, link) = stage.sampled().await?;
    let mut watchers = Vec::new();
    for _ in 0..50 {
        watchers.push(watch(stage, &*link.client).await?);
    }
    for seq in [1, 2] {
        double.notify(&notice(seq));
        for notices in &mut watchers {
            hears(stage, notices, seq).await?;
        }
    }
    stage.works(&*link.client).await
}

async fn leaves(stage: &Stage<'_>) -> Outcome {
    let (double, link) = stage.sampled().await?;
    let mut stays = watch(stage, &*link.client).await?;
    let mut leaves = watch(stage, &*link.client).await?;
    double.notify(&notice(1));
    hears(stage, &mut stays, 1).await?;
    hears(stage, &mut leaves, 1).await?;
    drop(leaves);
    let let_go = async {
        while double.watchers() > 1 {
            // Read, so that nothing piles up.
            stays.next().await;
        }
    };
    stage.soon("the dropped watcher is let go at the server", telling(&double, 2, let_go)).await?;
    let still = async { while stays.next().await.is_some_and(|notice| notice.latest_seq.0 != 3) {} };
    stage.soon("the other watcher hears of what is new", telling(&double, 3, still)).await?;
    same("how many still watch", &double.watchers(), &1)?;
    stage.works(&*link.client).await
}

async fn slow(stage: &Stage<'_>) -> Outcome {
    const FLOOD: u64 = 20_000;
    let (double, link) = stage.sampled().await?;
    let mut sleeper = watch(stage, &*link.client).await?;
    for seq in 1..=FLOOD {
        double.notify(&notice(seq));
    }
    for _ in 0..20 {
        stage.works(&*link.client).await?;
        sleep(Duration::from_millis(5)).await;
    }
    let mut other = watch(stage, &*link.client).await?;
    double.notify(&notice(FLOOD + 1));
    let heard = async { while other.next().await.is_some_and(|notice| notice.latest_seq.0 <= FLOOD) {} };
    stage.soon("another watcher hears of what is new", heard).await?;
    let newest = async {
        loop {
            match sleeper.next().await {
                Some(notice) if notice.latest_seq.0 > FLOOD + 1 => return Ok(()),
                Some(_) => {}
                None => return fail("notices that go on", "their end"),
            }
        }
    };
    let newest = telling(&double, FLOOD + 2, newest);
    stage.soon("the slow watcher hears of what is new once it reads", newest).await?
}

async fn ends(stage: &Stage<'_>, notices: &mut Notices) -> Outcome {
    same("the end of the notices", &next(stage, notices).await?, &None)
}

async fn peer_ends(stage: &Stage<'_>) -> Outcome {
    let (double, link) = stage.sampled().await?;
    let mut notices = watch(stage, &*link.client).await?;
    double.notify(&notice(1));
    hears(stage, &mut notices, 1).await?;
    double.end_watches();
    ends(stage, &mut notices).await?;
    stage.works(&*link.client).await
}

async fn server_goes(stage: &Stage<'_>) -> Outcome {
    let (double, mut link): (Double, Link) = stage.sampled().await?;
    let server = link.server()?;
    let mut notices = watch(stage, &*link.client).await?;
    double.notify(&notice(1));
    hears(stage, &mut notices, 1).await?;
    drop(server);
    ends(stage, &mut notices).await
}

async fn without_client(stage: &Stage<'_>) -> Outcome {
    let (double, link) = stage.sampled().await?;
    let mut notices = watch(stage, &*link.client).await?;
    let Link { client, server } = link;
    drop(client);
    let event = "a notice, or the end of the notices, after the client was dropped";
    stage.soon(event, telling(&double, 1, notices.next())).await?;
    drop(server);
    Ok(())
}
