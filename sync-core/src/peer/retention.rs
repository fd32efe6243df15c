//! How long history is kept.

use std::time::Duration;

/// Whose history a replica keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum History {
    /// What the other members may still need, and what is young.
    #[default]
    Shared,
    /// What the peers that this replica calls have not confirmed yet: for a device that only follows others. Whoever
    /// pulls from it and lacks something older reads its state.
    Own,
    /// Everything, for ever: for audits.
    Forever,
}

/// How long a replica keeps the changes in its log. The records themselves are not concerned: they stay.
///
/// By default a change goes when it is a week old and every known member has it, so nobody misses it. The bounds
/// [`max_age`](Self::max_age), [`max_entries`](Self::max_entries) and [`max_bytes`](Self::max_bytes) go further: whoever
/// lacks what they remove reads the state instead of the log, by itself, at its next round.
///
/// ```
/// use std::time::Duration;
/// use sync_core::Retention;
///
/// let retention = Retention { max_entries: Some(1_000_000), ..Retention::default() };
/// assert_eq!(retention.min_age, Duration::from_secs(7 * 24 * 3600));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Whose history is kept.
    pub history: History,
    /// Changes younger than this stay, even if every member has them. It should be longer than a first sync takes.
    /// Default: 7 days.
    pub min_age: Duration,
    /// Changes older than this go, whoever lacks them. Default: `None`, no such bound.
    pub max_age: Option<Duration>,
    /// If the log has more entries than this, the oldest go, whoever lacks them. Default: `None`.
    pub max_entries: Option<u64>,
    /// If the changes in the log have more bytes than this, the oldest go, whoever lacks them. Each look costs a pass
    /// over the log. Default: `None`.
    pub max_bytes: Option<u64>,
    /// A member that was not heard of for so long is reported as silent. Default: 30 days.
    pub warn_after: Duration,
    /// A member that was not heard of for so long no longer counts: what only it lacks goes. It comes back by reading
    /// the state. Default: 180 days; `None` for never.
    pub expire_after: Option<Duration>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for Retention {
    fn default() -> Self {
        Self {
            history: History::Shared,
            min_age: 7 * DAY,
            max_age: None,
            max_entries: None,
            max_bytes: None,
            warn_after: 30 * DAY,
            expire_after: Some(180 * DAY),
        }
    }
}

impl Retention {
    /// Nothing ever goes.
    pub fn forever() -> Self {
        Self { history: History::Forever, ..Self::default() }
    }

    /// Only what is not confirmed yet stays; see [`History::Own`].
    pub fn own() -> Self {
        Self { history: History::Own, min_age: Duration::ZERO, ..Self::default() }
    }
}

/// Milliseconds, as stamps count them.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
