//! Seeds, one after the other on each core.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// What a seed did, line by line.
pub(crate) type Trace = Arc<Mutex<Vec<String>>>;

/// What a variable of the environment says.
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Runs one seed in a thread of its own; what it did, if it failed.
pub(crate) fn run<T, F>(work: impl FnOnce(Trace) -> F + Send + 'static) -> Result<T, Vec<String>>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let trace = Trace::default();
    let kept = trace.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(work(trace))
    });
    thread
        .join()
        .map_err(|_| kept.lock().map_or_else(|error| error.into_inner().clone(), |lines| lines.clone()))
}

/// Runs `seeds` on all cores: `done` takes what each gave. Fails with the seeds that failed, which `variable` runs again.
pub(crate) fn run_all<T>(
    variable: &str,
    seeds: Range<u64>,
    run: impl Fn(u64) -> Result<T, Vec<String>> + Sync,
    done: impl Fn(T) + Sync,
) {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for core in 0..cores {
            let (next, failed, seeds, run, done) = (&next, &failed, &seeds, &run, &done);
            scope.spawn(move || {
                stay_on(core);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    match run(seed) {
                        Ok(one) => done(one),
                        Err(_) => failed.lock().expect("a list").push(seed),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("a list");
    assert!(failed.is_empty(), "run again with {variable}= one of {failed:?}");
}

/// Keeps this thread, and those that it starts, on the `n`th of the cores that it may use. A seed's engines and their databases
/// only ever wait for each other: to wake one another across cores costs a third of all the time.
#[cfg(target_os = "linux")]
fn stay_on(n: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let Ok(allowed) = sched_getaffinity(None) else { return };
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    if let Some(core) = cores.nth(n) {
        let mut one = CpuSet::new();
        one.set(core);
        // Where it is not allowed it only takes longer.
        let _ = sched_setaffinity(None, &one);
    }
}

#[cfg(not(target_os = "linux"))]
fn stay_on(_: usize) {}
