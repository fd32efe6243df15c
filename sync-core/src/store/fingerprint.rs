//! What tells a database file from its copies.
//!
//! Invariant: a fingerprint only ever says "surely another file" or "perhaps the same". A copy that it takes for the
//! original is found out when it first meets another replica.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// What is known of the file that a database is in; nothing of one in memory. Times are in nanoseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    path: Option<String>,
    #[serde(default)]
    device: Option<u64>,
    #[serde(default)]
    inode: Option<u64>,
    #[serde(default)]
    born_ns: Option<u64>,
}

impl Fingerprint {
    /// The fingerprint of the file at `path`, of a database in memory if there is none.
    pub(crate) fn of(path: Option<&Path>) -> Self {
        let Some(path) = path else { return Self::default() };
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut fingerprint = Self { path: Some(real.to_string_lossy().into_owned()), ..Self::default() };
        // A file that cannot be looked at, through a file system of SQLite's own, is known by its path.
        if let Ok(metadata) = std::fs::metadata(&real) {
            (fingerprint.device, fingerprint.inode) = place(&metadata);
            fingerprint.born_ns = metadata.created().ok().and_then(nanoseconds);
        }
        fingerprint
    }

    /// False if the two are surely of different files.
    ///
    /// Each part alone may change without a copy: a rename changes the path, a restart the device's number, some file
    /// systems number their files anew. So one of the three may differ. A birth time is for good, and copying makes a
    /// new one; where there is none, the number must stay.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        let (Some(path), Some(other_path)) = (&self.path, &other.path) else {
            return self.path == other.path;
        };
        let agree = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a == b);
        let path = path == other_path;
        let born = agree(self.born_ns, other.born_ns);
        if born == Some(false) {
            return false;
        }
        match (agree(self.device, other.device), agree(self.inode, other.inode)) {
            (Some(device), Some(inode)) => {
                let agreeing = [path, device, inode].into_iter().filter(|agrees| *agrees).count();
                agreeing >= 2 && (inode || born == Some(true))
            }
            _ => path,
        }
    }
}

fn nanoseconds(time: SystemTime) -> Option<u64> {
    u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
}

#[cfg(unix)]
fn place(metadata: &std::fs::Metadata) -> (Option<u64>, Option<u64>) {
    use std::os::unix::fs::MetadataExt;
    (Some(metadata.dev()), Some(metadata.ino()))
}

#[cfg(not(unix))]
fn place(_: &std::fs::Metadata) -> (Option<u64>, Option<u64>) {
    (None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, device: u64, inode: u64, born_ns: Option<u64>) -> Fingerprint {
        Fingerprint { path: Some(path.into()), device: Some(device), inode: Some(inode), born_ns }
    }

    #[test]
    fn what_happens_to_a_file_in_its_life_makes_it_no_copy() {
        let known = file("/a", 1, 10, Some(7));
        for (what, now) in [
            ("nothing", file("/a", 1, 10, Some(7))),
            ("a rename", file("/b", 1, 10, Some(7))),
            ("a restart that numbers the devices anew", file("/a", 2, 10, Some(7))),
            ("a mount that numbers the files anew", file("/a", 1, 11, Some(7))),
            ("a system that tells no birth time", file("/b", 1, 10, None)),
        ] {
            assert!(known.may_be(&now), "{what}");
        }
    }

    #[test]
    fn a_copy_is_another_file() {
        let known = file("/a", 1, 10, Some(7));
        for (what, now) in [
            ("a copy beside it", file("/b", 1, 11, Some(8))),
            ("a copy put in its place", file("/a", 1, 11, Some(8))),
            ("a copy under the number that became free", file("/a", 1, 10, Some(8))),
            ("a snapshot mounted elsewhere", file("/b", 2, 10, Some(7))),
            ("a copy that keeps the time of birth", file("/b", 1, 11, Some(7))),
            ("a copy in place, where no birth time is told", file("/a", 1, 11, None)),
            ("a database in memory", Fingerprint::default()),
        ] {
            assert!(!known.may_be(&now), "{what}");
            assert!(!now.may_be(&known), "{what}");
        }
        assert!(Fingerprint::default().may_be(&Fingerprint::default()));
    }

    #[test]
    fn a_file_has_one_fingerprint_and_its_copy_another() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        std::fs::write(&a, "data").unwrap();
        let original = Fingerprint::of(Some(&a));
        assert_eq!(original, Fingerprint::of(Some(&a)));
        std::fs::copy(&a, &b).unwrap();
        assert!(!original.may_be(&Fingerprint::of(Some(&b))));
        std::fs::rename(&a, &c).unwrap();
        assert!(original.may_be(&Fingerprint::of(Some(&c))));
    }
}
