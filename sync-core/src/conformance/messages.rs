//! Messages and errors arrive as they left.

use serde_bytes::ByteBuf;

use super::{
    Check, Stage,
    double::Double,
    name,
    report::{Outcome, same},
    sample,
};
use crate::{
    ids::Seq,
    peer::{Answer, Entry, Hello, Request},
};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "hello_keeps_every_field",
        promise: "A hello and its answer arrive with every field as it was sent",
        run: |stage| Box::pin(hello(stage)),
    },
    Check {
        name: "pull_keeps_every_field",
        promise: "A pull and its page arrive with every field as it was sent",
        run: |stage| Box::pin(pull(stage)),
    },
    Check {
        name: "push_keeps_every_field",
        promise: "A push and its answer arrive with every field as it was sent, with and without a pull or state inside",
        run: |stage| Box::pin(push(stage)),
    },
    Check {
        name: "objects_keep_every_field",
        promise: "A request for the state feed, whole or by a scope, and its page arrive with every field as it was sent",
        run: |stage| Box::pin(objects(stage)),
    },
    Check {
        name: "repair_keeps_every_field",
        promise: "A call of a repair and its answer arrive with every field as it was sent",
        run: |stage| Box::pin(repair(stage)),
    },
    Check {
        name: "every_error_arrives_as_it_left",
        promise: "A peer's error reaches the caller as the same variant with the same words, from every call",
        run: |stage| Box::pin(errors(stage)),
    },
    Check {
        name: "pages_of_any_length",
        promise: "A page has all of its entries in their order, whether none or 20,000",
        run: |stage| Box::pin(pages(stage)),
    },
    Check {
        name: "bytes_of_any_kind",
        promise: "Changes are bytes: empty, NUL, every value and 1 MiB of them arrive unchanged",
        run: |stage| Box::pin(any_bytes(stage)),
    },
];

/// What arrives is what was sent, in both directions.
async fn round_trips(stage: &Stage<'_>, requests: impl IntoIterator<Item = Request>) -> Outcome {
    let (double, link) = stage.sampled().await?;
    for request in requests {
        let call = name(&request);
        let came = stage.ask(&*link.client, request.clone()).await?;
        // A transport may try again: then the peer is asked the same once more.
        let asked = double.asked();
        let asked = asked.iter().find(|asked| **asked != request).or(asked.first()).cloned();
        same(&format!("the {call} that the peer is asked"), &asked, &Some(request.clone()))?;
        same(&format!("the answer to {call}"), &came, &Ok(sample::answer(request)))?;
    }
    Ok(())
}

async fn hello(stage: &Stage<'_>) -> Outcome {
    let odd = Hello { wall_ms: u64::MAX, protocol: u32::MAX, schema: 1 << 53 | 1, ..sample::hello(2) };
    let (part, compacted) = (sample::hello_of_part(), sample::hello_of_compacted());
    let hellos = [sample::hello(1), sample::hello(2), odd, part, compacted];
    round_trips(stage, hellos.map(Request::Hello)).await
}

async fn pull(stage: &Stage<'_>) -> Outcome {
    round_trips(stage, [0, 1, 5].map(|count| Request::Pull(sample::pull(count)))).await?;
    round_trips(stage, [0, 5].map(|count| Request::Pull(sample::pull_of_compacted(count)))).await
}

async fn push(stage: &Stage<'_>) -> Outcome {
    let pushes = [(0, None), (5, None), (0, Some(0)), (3, Some(4))];
    let push = |(changes, pull): (usize, Option<u32>)| {
        Request::Push(sample::push(sample::some_bytes(changes), pull.map(sample::pull)))
    };
    round_trips(stage, pushes.map(push)).await?;
    let state = [sample::push_of_state(false), sample::push_of_state(true), sample::push_of_part()];
    round_trips(stage, state.map(Request::Push)).await
}

async fn repair(stage: &Stage<'_>) -> Outcome {
    round_trips(stage, [0, 1, 5].map(|count| Request::Repair(sample::repair(count)))).await
}

async fn objects(stage: &Stage<'_>) -> Outcome {
    round_trips(stage, [0, 1, 5].map(|count| Request::Objects(sample::objects(count)))).await?;
    round_trips(stage, [0, 5].map(|count| Request::Objects(sample::objects_of_part(count)))).await
}

async fn errors(stage: &Stage<'_>) -> Outcome {
    let requests = [
        Request::Hello(sample::hello(1)),
        Request::Pull(sample::pull(1)),
        Request::Push(sample::push(sample::some_bytes(1), None)),
        Request::Objects(sample::objects(1)),
        Request::Repair(sample::repair(1)),
        Request::Watch { library: sample::LIBRARY },
    ];
    for error in sample::errors() {
        let refusal = error.clone();
        let link = stage.link(Double::new(move |_| Err(refusal.clone()))).await?;
        for request in requests.clone() {
            let call = name(&request);
            let came = stage.ask(&*link.client, request).await?;
            same(&format!("the error {} of {call}", sample::variant(&error)), &came, &Err(error.clone()))?;
        }
    }
    Ok(())
}

async fn pages(stage: &Stage<'_>) -> Outcome {
    let counts = [0, 1, 15, 16, 31, 32, 255, 256, 20_000];
    // Every entry is another: a lost or moved one is seen.
    let entries = |count: u32| -> Vec<Entry> {
        (0..count).map(|n| Entry::Change(ByteBuf::from(n.to_be_bytes().to_vec()))).collect()
    };
    let link = stage
        .link(Double::new(move |request| {
            Ok(match request {
                Request::Pull(pull) => Answer::Pull(sample::page(entries(pull.max_entries), Seq(0))),
                other => sample::answer(other),
            })
        }))
        .await?;
    for count in counts {
        let came = stage.ask(&*link.client, Request::Pull(sample::pull(count))).await?;
        let expected = Ok(Answer::Pull(sample::page(entries(count), Seq(0))));
        same(&format!("a page of {count} entries"), &came, &expected)?;
    }
    let pushes = counts.map(|count| {
        let changes = (0..count).map(|n| ByteBuf::from(n.to_be_bytes().to_vec())).collect();
        Request::Push(sample::push(changes, None))
    });
    round_trips(stage, pushes).await
}

async fn any_bytes(stage: &Stage<'_>) -> Outcome {
    let large = sample::noise(1 << 20);
    let kinds = [
        ByteBuf::new(),
        ByteBuf::from(vec![0]),
        ByteBuf::from(vec![0; 1 << 20]),
        ByteBuf::from((0..=255).collect::<Vec<u8>>()),
        ByteBuf::from(b"\r\n\r\n--boundary\xff\xfe\xc0".to_vec()),
        large,
    ];
    let encoded = sample::changes(3).into_iter().map(|change| ByteBuf::from(change.encode().into_bytes()));
    let kinds: Vec<ByteBuf> = kinds.into_iter().chain(encoded).collect();
    let answered = kinds.clone();
    let double = Double::new(move |request| {
        Ok(match request {
            Request::Pull(pull) => {
                let entries = answered.iter().cloned().map(Entry::Change).collect();
                Answer::Pull(sample::page(entries, pull.from_seq))
            }
            other => sample::answer(other),
        })
    });
    let link = stage.link(double.clone()).await?;
    let push = Request::Push(sample::push(kinds.clone(), None));
    let _ = stage.ask(&*link.client, push.clone()).await?;
    same("the push that the peer is asked", &double.asked().first().cloned(), &Some(push))?;
    let came = stage.ask(&*link.client, Request::Pull(sample::pull(1))).await?;
    let entries = kinds.into_iter().map(Entry::Change).collect();
    same("the page", &came, &Ok(Answer::Pull(sample::page(entries, Seq(1)))))
}
