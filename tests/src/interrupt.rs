//! Futures that are dropped half way.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// Where a future is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// After this many polls, while what it waits for goes on.
    After(usize),
    /// After this many polls, when what it waits for is there, before it hears of it.
    Woken(usize),
}

impl Cut {
    /// Polls `future` as often as told and drops it; its output if it came so far.
    pub async fn run<F: Future>(self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let (Self::After(mut left) | Self::Woken(mut left)) = self;
        poll_fn(move |context| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            match future.as_mut().poll(context) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if left == 0 && matches!(self, Self::After(_)) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Both ways of dropping, after each number of polls in turn.
    pub fn all() -> impl Iterator<Item = Cut> {
        (0..).flat_map(|polls| [Self::After(polls), Self::Woken(polls)])
    }
}
