//! Whole syncs: two engines with the transport between them have the same data in the end, faults or not.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    Check, Stage,
    faults::{FAULTS, Fault, Faulty},
    note,
    report::{Outcome, fail, shown},
    sample,
};
use crate::{
    engine::SyncEngine,
    peer::{Limits, Peer, PeerError, SyncError, SyncReport},
};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "two_devices_converge",
        promise: "After one round through the transport both devices have the same rows and objects",
        run: |stage| Box::pin(converge(stage, Limits::default(), 30)),
    },
    Check {
        name: "a_group_over_many_pages_arrives",
        promise: "A transaction that fills many pages arrives whole",
        run: |stage| {
            Box::pin(converge(stage, Limits { page_entries: 7, page_bytes: 2_000, ..Limits::default() }, 60))
        },
    },
    Check {
        name: "a_new_device_reads_the_state_feed",
        promise: "A first sync by the state feed, in many pages, ends with the same data",
        run: |stage| {
            Box::pin(converge(stage, Limits { snapshot_above: 5, page_entries: 7, ..Limits::default() }, 200))
        },
    },
    Check {
        name: "faults_are_survived",
        promise: "A lost, repeated or damaged message fails at most its round; the next one ends with the same data",
        run: |stage| Box::pin(faults(stage)),
    },
    Check {
        name: "a_server_that_goes_and_comes_back",
        promise: "A round with a server that is gone fails with an error worth retrying and loses nothing",
        run: |stage| Box::pin(comes_back(stage)),
    },
    Check {
        name: "a_follower_hears_at_once",
        promise: "A device that follows through the transport has what is new by its notice, not by polling",
        run: |stage| Box::pin(follow(stage)),
    },
];

async fn round(
    stage: &Stage<'_>,
    device: &SyncEngine,
    peer: &dyn Peer,
) -> Outcome<Result<SyncReport, SyncError>> {
    stage.soon("the end of a round", device.sync_with(peer)).await
}

async fn good_round(stage: &Stage<'_>, device: &SyncEngine, peer: &dyn Peer) -> Outcome<SyncReport> {
    round(stage, device, peer).await?.or_else(|error| fail("a round that works", error.to_string()))
}

async fn converge(stage: &Stage<'_>, limits: Limits, rows: u8) -> Outcome {
    let here = note::device(sample::LIBRARY, limits.clone()).await?;
    let there = note::device(sample::LIBRARY, limits).await?;
    note::write(&here, "here", rows / 10).await?;
    note::write(&there, "there", rows).await?;
    let link = stage.link(there.clone()).await?;
    good_round(stage, &here, &*link.client).await?;
    let count = usize::from(rows) + usize::from(rows / 10);
    note::equal(&here, &there, count).await?;
    note::write(&there, "later", 3).await?;
    let report = good_round(stage, &here, &*link.client).await?;
    if report.diverged {
        return fail("equal digests", "a round that reports diverged objects");
    }
    note::equal(&here, &there, count + 3).await
}

async fn faults(stage: &Stage<'_>) -> Outcome {
    for fault in FAULTS {
        let here = note::device(sample::LIBRARY, Limits::default()).await?;
        let there = note::device(sample::LIBRARY, Limits::default()).await?;
        note::write(&here, "here", 4).await?;
        note::write(&there, "there", 6).await?;
        let link = stage.link(Faulty::new(there.clone(), fault)).await?;
        match (round(stage, &here, &*link.client).await?, fault) {
            (Ok(_), Fault::Twice) => {}
            (Err(SyncError::Peer(PeerError::Unreachable(_))), Fault::Before | Fault::After) => {}
            (Err(SyncError::Peer(PeerError::Corrupt(_))), Fault::Truncated | Fault::Corrupted) => {}
            (came, _) => return fail(format!("what follows from the fault {fault:?}"), shown(&came)),
        }
        good_round(stage, &here, &*link.client).await?;
        note::equal(&here, &there, 10).await?;
    }
    Ok(())
}

async fn comes_back(stage: &Stage<'_>) -> Outcome {
    let here = note::device(sample::LIBRARY, Limits::default()).await?;
    let there = note::device(sample::LIBRARY, Limits::default()).await?;
    note::write(&here, "here", 4).await?;
    note::write(&there, "there", 6).await?;
    let mut link = stage.link(there.clone()).await?;
    drop(link.server()?);
    match round(stage, &here, &*link.client).await? {
        Err(error) if error.is_retryable() => {}
        other => return fail("a round that fails with an error worth retrying", shown(&other)),
    }
    let link = stage.link(there.clone()).await?;
    good_round(stage, &here, &*link.client).await?;
    note::equal(&here, &there, 10).await
}

async fn follow(stage: &Stage<'_>) -> Outcome {
    let here = note::device(sample::LIBRARY, Limits::default()).await?;
    let there = note::device(sample::LIBRARY, Limits::default()).await?;
    let link = stage.link(there.clone()).await?;
    let follow = here.follow(link.client.clone());
    // The first ones may come with the rounds that a follower makes at its beginning.
    for count in [1, 2, 3, 4] {
        note::write(&there, "new", 1).await?;
        there.flush().await.or_else(|error| fail("a flush", error.to_string()))?;
        let arrives = async {
            while note::rows(&here).await?.len() < count {
                sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        stage.soon("a row that arrives by its notice", arrives).await??;
    }
    stage.soon("the end of the follow", follow.stop()).await?;
    note::equal(&here, &there, 4).await
}
