//! What the suite found: for each check that failed, what was expected, what came, and the promise it breaks.

use std::fmt::{self, Debug};

/// What a run of the suite found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The checks that passed, by name.
    pub passed: Vec<&'static str>,
    /// The checks that were not made.
    pub skipped: Vec<Skipped>,
    /// The checks that failed.
    pub failures: Vec<Failure>,
}

/// A check that was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its name.
    pub check: &'static str,
    /// Why not, and what to give the suite so that it is.
    pub reason: String,
}

/// A check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Its name.
    pub check: &'static str,
    /// The promise that is broken.
    pub promise: &'static str,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub came: String,
}

/// At least one check failed. Its `Debug` form is for people too, so that `expect` in a test prints the report.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub Report);

impl Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, skipped, failures } = self;
        writeln!(f, "{} passed, {} failed, {} not made", passed.len(), failures.len(), skipped.len())?;
        for Skipped { check, reason } in skipped {
            writeln!(f, "not made: {check}: {reason}")?;
        }
        for Failure { check, promise, expected, came } in failures {
            writeln!(
                f,
                "FAILED: {check}\n  promise:  {promise}\n  expected: {expected}\n  came:     {came}"
            )?;
        }
        Ok(())
    }
}

/// How a check ends before its end.
#[derive(Debug)]
pub(super) enum Ended {
    Failed { expected: String, came: String },
    Skipped(&'static str),
}

pub(super) type Outcome<T = ()> = Result<T, Ended>;

/// A check ends: this was expected, that came.
pub(super) fn fail<T>(expected: impl Into<String>, came: impl Into<String>) -> Outcome<T> {
    Err(Ended::Failed { expected: expected.into(), came: came.into() })
}

/// A value as text, cut where it gets long.
pub(super) fn shown(value: &impl Debug) -> String {
    const LONGEST: usize = 300;
    let text = format!("{value:?}");
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}… ({} characters)", &text[..at], text.chars().count()),
        None => text,
    }
}

/// Ends the check unless `came` is equal to what was expected; names the first field that is not.
pub(super) fn same<T: Debug + PartialEq>(what: &str, came: &T, expected: &T) -> Outcome {
    if came == expected {
        return Ok(());
    }
    let (expected, came) = (format!("{expected:#?}"), format!("{came:#?}"));
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut pairs = expected.lines().zip(came.lines()).enumerate();
    let differing = pairs.find(|(_, (expected, came))| {
        let depth = expected.len() - expected.trim_start().len();
        path.retain(|(outer, _)| *outer < depth);
        if expected == came {
            path.push((depth, expected.trim()));
        }
        expected != came
    });
    // Lines equal as far as both go: one of the two is longer.
    let at = differing.map_or_else(|| expected.lines().count().min(came.lines().count()), |(at, _)| at);
    let field: Vec<&str> =
        path.iter().map(|(_, line)| line.trim_end_matches(['{', '(', '[', ' ', ':'])).collect();
    fail(format!("{what}: {} {}", field.join(" / "), from_line(&expected, at)), from_line(&came, at))
}

/// What stands from this line on, in one line.
fn from_line(text: &str, at: usize) -> String {
    const LONGEST: usize = 160;
    let lines: Vec<&str> = text.lines().skip(at).take(8).map(str::trim).collect();
    let line = lines.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.is_empty() => "nothing more".into(),
        None => line,
    }
}
