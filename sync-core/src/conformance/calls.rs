//! Calls beside each other, given up, too large, or to a server that goes.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::join_all};
use tokio::{sync::watch, task::yield_now, time::timeout};

use super::{
    Check, Stage,
    double::Double,
    name,
    report::{Ended, Outcome, fail, same, shown},
    sample,
};
use crate::{
    ids::Seq,
    peer::{Answer, Entry, Hello, PeerError, Request},
};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "answers_go_to_their_requests",
        promise: "16 calls at once each get their own answer, in whatever order the peer gives them",
        run: |stage| Box::pin(concurrent(stage)),
    },
    Check {
        name: "a_dropped_call_harms_no_other",
        promise: "A call that its caller gave up disturbs no later call; its late answer goes to nobody",
        run: |stage| Box::pin(dropped(stage)),
    },
    Check {
        name: "a_half_sent_call_harms_no_other",
        promise: "A call given up while it is being sent leaves the connection in order, or a new one is made",
        run: |stage| Box::pin(half_sent(stage)),
    },
    Check {
        name: "large_messages_are_carried",
        promise: "A message up to the size that the transport says it carries arrives whole, both ways",
        run: |stage| Box::pin(large(stage)),
    },
    Check {
        name: "a_request_too_large_is_refused",
        promise: "A request beyond the limit is refused as TooLarge, is not served, and harms no later call",
        run: |stage| Box::pin(large_request(stage)),
    },
    Check {
        name: "an_answer_too_large_is_refused",
        promise: "An answer beyond the limit reaches the caller as TooLarge, and harms no later call",
        run: |stage| Box::pin(large_answer(stage)),
    },
    Check {
        name: "calls_end_when_the_server_goes",
        promise: "When the server goes, a call in progress and any later one end with an error worth retrying",
        run: |stage| Box::pin(gone(stage)),
    },
];

const AT_ONCE: u64 = 16;

/// The `n`th of some calls of all kinds, and its number again.
fn numbered(n: u64) -> Request {
    match n % 4 {
        0 => Request::Hello(Hello { wall_ms: n, ..sample::hello(1) }),
        1 => Request::Pull(sample::pull(n as u32)),
        2 => Request::Push(sample::push(sample::some_bytes(n as usize), None)),
        _ => Request::Objects(sample::objects(n as u32)),
    }
}

fn number(request: &Request) -> u64 {
    match request {
        Request::Hello(hello) => hello.wall_ms,
        Request::Pull(pull) => u64::from(pull.max_entries),
        Request::Push(push) => push.changes.len() as u64,
        Request::Objects(objects) => u64::from(objects.max_objects),
        Request::Watch { .. } => 0,
    }
}

async fn concurrent(stage: &Stage<'_>) -> Outcome {
    let (entered, answered) = (watch::Sender::new(0_u64), watch::Sender::new(0_u64));
    // Answers in the reverse order of the numbers. A transport may let calls wait for each other: then no order can
    // be had, and nobody waits for it long.
    let double = Double::waiting(move |request| {
        let (entered, answered) = (entered.clone(), answered.clone());
        Box::pin(async move {
            let rank = AT_ONCE - 1 - number(&request);
            let turn = async {
                entered.send_modify(|count| *count += 1);
                let _ = entered.subscribe().wait_for(|count| *count == AT_ONCE).await;
                let _ = answered.subscribe().wait_for(|count| *count >= rank).await;
            };
            let _ = timeout(Duration::from_millis(300), turn).await;
            answered.send_modify(|count| *count += 1);
            Ok(sample::answer(request))
        })
    });
    let link = stage.link(double).await?;
    let calls = (0..AT_ONCE).map(|n| stage.ask(&*link.client, numbered(n)));
    for (n, came) in (0..).zip(join_all(calls).await) {
        let what = format!("the answer to {} among {AT_ONCE} calls", name(&numbered(n)));
        same(&what, &came?, &Ok(sample::answer(numbered(n))))?;
    }
    Ok(())
}

async fn dropped(stage: &Stage<'_>) -> Outcome {
    const DROPPED: u64 = 8;
    let release = Arc::new(watch::Sender::new(false));
    let gate = release.clone();
    let double = Double::waiting(move |request| {
        let mut released = gate.subscribe();
        Box::pin(async move {
            if number(&request) <= DROPPED {
                let _ = released.wait_for(|released| *released).await;
            }
            Ok(sample::answer(request))
        })
    });
    let link = stage.link(double.clone()).await?;
    for n in 1..=DROPPED {
        let early = {
            let mut call = pin!(super::ask(&*link.client, numbered(n)).fuse());
            let asked = pin!(double.entered(n as usize));
            let either = futures_util::future::select(&mut call, asked);
            // A transport with one call at a time brings no second one before the first is answered.
            match timeout(Duration::from_millis(500), either).await {
                Ok(futures_util::future::Either::Left((came, _))) => Some(came),
                _ => None,
            }
        };
        if let Some(came) = early {
            return fail("no answer before the peer gives one", shown(&came));
        }
    }
    release.send_replace(true);
    for n in DROPPED + 1..DROPPED + 9 {
        let came = stage.ask(&*link.client, numbered(n)).await?;
        same("the answer to a call after others were given up", &came, &Ok(sample::answer(numbered(n))))?;
    }
    Ok(())
}

async fn half_sent(stage: &Stage<'_>) -> Outcome {
    let (_, link) = stage.sampled().await?;
    let large = sample::push(vec![sample::noise(stage.options.carries.min(2 << 20))], None);
    for polls in 1..=12 {
        {
            let mut call = pin!(link.client.push(large.clone()));
            for _ in 0..polls {
                if call.as_mut().now_or_never().is_some() {
                    break;
                }
                yield_now().await;
            }
        }
        stage.works(&*link.client).await?;
    }
    Ok(())
}

async fn large(stage: &Stage<'_>) -> Outcome {
    let size = stage.options.carries;
    let double = Double::new(move |request| {
        Ok(match request {
            Request::Pull(pull) if pull.max_entries == 1 => {
                Answer::Pull(sample::page(vec![Entry::Change(sample::noise(size))], Seq(0)))
            }
            other => sample::answer(other),
        })
    });
    let link = stage.link(double.clone()).await?;
    let push = Request::Push(sample::push(vec![sample::noise(size)], None));
    let came = stage.ask(&*link.client, push.clone()).await?;
    if let Err(error) = &came {
        return fail(format!("a push of {size} bytes is carried"), shown(error));
    }
    same("the answer to a large push", &came, &Ok(sample::answer(push.clone())))?;
    same("the large push that the peer is asked", &double.asked().first(), &Some(&push))?;
    let came = stage.ask(&*link.client, Request::Pull(sample::pull(1))).await?;
    if let Err(error) = &came {
        return fail(format!("a page of {size} bytes is carried"), shown(error));
    }
    let page = sample::page(vec![Entry::Change(sample::noise(size))], Seq(0));
    same("a large page", &came, &Ok(Answer::Pull(page)))?;
    stage.works(&*link.client).await
}

/// Refused with the right variant.
fn too_large(what: &str, size: usize, came: &Result<Answer, PeerError>) -> Outcome {
    match came {
        Err(PeerError::TooLarge(_)) => Ok(()),
        Ok(_) => fail(format!("TooLarge for {what} of {size} bytes"), "it was carried"),
        Err(other) => fail(format!("TooLarge for {what} of {size} bytes"), shown(other)),
    }
}

fn refused_size(stage: &Stage<'_>) -> Outcome<usize> {
    stage.options.refuses.ok_or(Ended::Skipped("`Options::refuses` does not say what is too large"))
}

async fn large_request(stage: &Stage<'_>) -> Outcome {
    let size = refused_size(stage)?;
    let (double, link) = stage.sampled().await?;
    for _ in 0..2 {
        let push = Request::Push(sample::push(vec![sample::noise(size)], None));
        too_large("a push", size, &stage.ask(&*link.client, push).await?)?;
        if !double.asked().is_empty() {
            return fail("the peer is not asked what is too large", "it was asked");
        }
        stage.works(&*link.client).await?;
        double.asked();
    }
    Ok(())
}

async fn large_answer(stage: &Stage<'_>) -> Outcome {
    let size = refused_size(stage)?;
    let double = Double::new(move |request| {
        Ok(match request {
            Request::Pull(pull) if pull.max_entries == 1 => {
                Answer::Pull(sample::page(vec![Entry::Change(sample::noise(size))], Seq(0)))
            }
            other => sample::answer(other),
        })
    });
    let link = stage.link(double).await?;
    for _ in 0..2 {
        let came = stage.ask(&*link.client, Request::Pull(sample::pull(1))).await?;
        too_large("a page", size, &came)?;
        stage.works(&*link.client).await?;
    }
    Ok(())
}

/// An error after which the caller tries again by itself.
fn worth_retrying(what: &str, came: &Result<Answer, PeerError>) -> Outcome {
    match came {
        Err(error) if error.is_retryable() => Ok(()),
        other => fail(format!("{what} ends as Unreachable, or another error worth retrying"), shown(other)),
    }
}

async fn gone(stage: &Stage<'_>) -> Outcome {
    let double = Double::waiting(|_| Box::pin(std::future::pending()));
    let mut link = stage.link(double.clone()).await?;
    let server = link.server()?;
    let call = stage.ask(&*link.client, Request::Pull(sample::pull(1)));
    let stopping = async {
        let entered = stage.soon("a call that reaches the peer", double.entered(1)).await;
        drop(server);
        entered
    };
    let (came, entered) = futures_util::future::join(call, stopping).await;
    entered?;
    worth_retrying("a call in progress", &came?)?;
    for request in [Request::Hello(sample::hello(1)), Request::Watch { library: sample::LIBRARY }] {
        let what = format!("{} after the server went", name(&request));
        worth_retrying(&what, &stage.ask(&*link.client, request).await?)?;
    }
    Ok(())
}
