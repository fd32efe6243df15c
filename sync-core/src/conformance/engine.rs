//! A real engine behind the transport answers as it does without one.

use serde_bytes::ByteBuf;

use super::{
    Check, Link, Stage, name, note,
    report::{Outcome, fail, same, shown},
    sample,
};
use crate::{
    engine::SyncEngine,
    ids::{LibraryId, LogId, Seq},
    peer::{
        Answer, Entry, Hello, Limits, ObjectsCursor, ObjectsRequest, PROTOCOL, PeerError, PullRequest,
        PushRequest, Request,
    },
    vector::Vector,
};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "an_engine_answers_as_it_does_in_process",
        promise: "The same requests get the same answers and errors through the transport as without it",
        run: |stage| Box::pin(as_in_process(stage)),
    },
    Check {
        name: "pages_of_an_engine_add_up",
        promise: "Pages of the log, cut inside groups, are together the whole log, and their chain joins",
        run: |stage| Box::pin(pages(stage)),
    },
    Check {
        name: "pages_of_the_state_feed_add_up",
        promise: "Pages of the state feed are together the whole feed; its cursors are carried unchanged",
        run: |stage| Box::pin(feed(stage)),
    },
    Check {
        name: "a_cursor_of_another_feed_is_refused",
        promise: "Only the feed that made a cursor reads it: any other refuses it as Invalid",
        run: |stage| Box::pin(cursor(stage)),
    },
    Check {
        name: "values_at_the_edges",
        promise: "Values arrive bit for bit: u64::MAX, NaN, -0.0, NUL in text, 1 MiB of bytes",
        run: |stage| Box::pin(values(stage)),
    },
];

/// An engine with `rows` of one group, and a link to it.
async fn served(stage: &Stage<'_>, rows: u8) -> Outcome<(SyncEngine, Link)> {
    let engine = note::device(sample::LIBRARY, Limits::default()).await?;
    note::write(&engine, "served", rows).await?;
    engine.flush().await.or_else(|error| fail("a flush", error.to_string()))?;
    let link = stage.link(engine.clone()).await?;
    Ok((engine, link))
}

fn hello() -> Hello {
    Hello {
        vector: Vector::new(),
        latest_seq: Seq(0),
        newest_of_yours: None,
        probe: None,
        retired: Vec::new(),
        protocol: PROTOCOL,
        ..sample::hello(9)
    }
}

fn pull(from: Seq, max_entries: u32) -> PullRequest {
    PullRequest {
        log_id: None,
        from_seq: from,
        have: Vector::new(),
        max_bytes: 8 << 20,
        ..sample::pull(max_entries)
    }
}

fn objects(after: Option<ObjectsCursor>, max_objects: u32) -> ObjectsRequest {
    ObjectsRequest { after, max_bytes: 8 << 20, ..sample::objects(max_objects) }
}

fn push() -> PushRequest {
    let changes = sample::changes(4).into_iter().map(|change| ByteBuf::from(change.encode().into_bytes()));
    sample::push(changes.collect(), Some(pull(Seq(0), 3)))
}

async fn as_in_process(stage: &Stage<'_>) -> Outcome {
    let (engine, link) = served(stage, 20).await?;
    // From now on the same push changes nothing.
    let _ = stage.ask(&engine, push().into()).await?;
    let elsewhere = LibraryId::from_bytes(*b"another-library!");
    let requests: Vec<Request> = vec![
        hello().into(),
        Hello { library: elsewhere, ..hello() }.into(),
        Hello { protocol: PROTOCOL + 1, ..hello() }.into(),
        Hello { device: engine.device_id(), ..hello() }.into(),
        pull(Seq(0), 1_000).into(),
        pull(Seq(0), 3).into(),
        pull(Seq(0), 0).into(),
        pull(Seq(1 << 40), 3).into(),
        PullRequest { log_id: Some(LogId::from_bytes([5; 16])), ..pull(Seq(4), 3) }.into(),
        PullRequest { library: elsewhere, ..pull(Seq(0), 3) }.into(),
        push().into(),
        PushRequest { changes: vec![ByteBuf::from(b"no change".to_vec())], ..push() }.into(),
        PushRequest { library: elsewhere, pull: None, ..push() }.into(),
        objects(None, 1_000).into(),
        objects(None, 3).into(),
        objects(Some(ObjectsCursor(ByteBuf::from(b"no cursor".to_vec()))), 3).into(),
        ObjectsRequest { library: elsewhere, ..objects(None, 3) }.into(),
        Request::Watch { library: elsewhere },
        Request::Watch { library: sample::LIBRARY },
    ];
    for request in requests {
        let what = format!("the answer to {}, as the engine gives it in process", name(&request));
        let expected = stage.ask(&engine, request.clone()).await?;
        same(&what, &stage.ask(&*link.client, request).await?, &expected)?;
    }
    Ok(())
}

async fn pages(stage: &Stage<'_>) -> Outcome {
    let (engine, link) = served(stage, 25).await?;
    let whole = match stage.ask(&engine, pull(Seq(0), 1_000).into()).await? {
        Ok(Answer::Pull(page)) => page,
        other => return fail("a page of the engine", shown(&other)),
    };
    let mut entries: Vec<Entry> = Vec::new();
    let (mut at, mut hash) = (whole.base_seq, whole.base_hash);
    while at < whole.latest_seq {
        let page = match stage.ask(&*link.client, pull(at, 4).into()).await? {
            Ok(Answer::Pull(page)) if page.next_seq > at => page,
            other => return fail("a page that goes on", shown(&other)),
        };
        same("the hash below a page", &page.base_hash, &hash)?;
        (at, hash) = (page.next_seq, page.state_hash);
        entries.extend(page.entries);
    }
    same("all entries of the pages", &entries, &whole.entries)?;
    same("the hash above the last page", &hash, &whole.state_hash)?;
    match stage.ask(&*link.client, pull(at, 4).into()).await? {
        Ok(Answer::Pull(page)) => same("a page at the end of the log", &page.entries, &Vec::new()),
        other => fail("an empty page", shown(&other)),
    }
}

async fn feed(stage: &Stage<'_>) -> Outcome {
    let (engine, link) = served(stage, 25).await?;
    let whole = match stage.ask(&engine, objects(None, 1_000).into()).await? {
        Ok(Answer::Objects(page)) => page,
        other => return fail("a page of the engine's state feed", shown(&other)),
    };
    let (mut records, mut after) = (Vec::new(), None);
    loop {
        let page = match stage.ask(&*link.client, objects(after, 4).into()).await? {
            Ok(Answer::Objects(page)) if records.len() <= whole.objects.len() => page,
            other => return fail("a page of the state feed that goes on", shown(&other)),
        };
        records.extend(page.objects);
        after = page.next;
        if after.is_none() {
            return same("all records of the pages", &records, &whole.objects);
        }
    }
}

async fn cursor(stage: &Stage<'_>) -> Outcome {
    let (_, link) = served(stage, 10).await?;
    let (_, elsewhere) = served(stage, 10).await?;
    let foreign = match stage.ask(&*elsewhere.client, objects(None, 3).into()).await? {
        Ok(Answer::Objects(page)) if page.next.is_some() => page.next,
        other => return fail("a page with a cursor", shown(&other)),
    };
    match stage.ask(&*elsewhere.client, objects(foreign.clone(), 3).into()).await? {
        Ok(_) => {}
        Err(error) => return fail("a cursor that is good where it was made", shown(&error)),
    }
    match stage.ask(&*link.client, objects(foreign, 3).into()).await? {
        Err(PeerError::Invalid(_)) => Ok(()),
        other => fail("PeerError::Invalid for a cursor of another feed", shown(&other)),
    }
}

async fn values(stage: &Stage<'_>) -> Outcome {
    let (_, link) = served(stage, 0).await?;
    let sent = push().changes;
    let pushed = stage.ask(&*link.client, PushRequest { pull: None, ..push() }.into()).await?;
    match &pushed {
        Ok(Answer::Push(answer)) if answer.merged == sent.len() as u64 => {}
        other => return fail(format!("{} changes merged", sent.len()), shown(other)),
    }
    match stage.ask(&*link.client, pull(Seq(0), 1_000).into()).await? {
        Ok(Answer::Pull(page)) => {
            let expected: Vec<Entry> = sent.into_iter().map(Entry::Change).collect();
            same("the changes that were pushed, pulled", &page.entries, &expected)
        }
        other => fail("a page", shown(&other)),
    }
}
