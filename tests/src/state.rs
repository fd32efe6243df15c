//! All of a device that a fault must leave as it was, and what devices in sync have in common.

use std::borrow::Borrow;

use sync_core::{DeviceId, Entry, Peer, PullRequest, Seq, Vector};

use crate::{Device, wire::is_of_the_application};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Every row of every table.
    pub rows: String,
    /// The digest of the objects.
    pub digest: [u8; 16],
    /// The end of the log.
    pub latest_seq: u64,
    /// How many records are pending.
    pub pending: u64,
    /// How many changes are held.
    pub held: u64,
    /// How many conflicts are on record.
    pub conflicts: u64,
}

impl Device {
    /// How it stands; its ledger and rows are found to be in order first.
    pub async fn state(&self) -> State {
        self.assert_sound().await;
        let status = self.engine.status().await.expect("a status");
        State {
            rows: self.dump().await,
            digest: status.digest,
            latest_seq: status.latest_seq.0,
            pending: status.pending,
            held: status.held,
            conflicts: status.conflicts,
        }
    }

    /// Fails unless its log, its objects and its rows are in order.
    pub async fn assert_sound(&self) {
        let verified = self.engine.verify().await.expect("verify");
        assert!(verified.is_clean(), "{:?}", verified.findings);
    }

    /// Fails unless both have the same rows and objects, and nothing waits.
    pub async fn assert_equal(&self, other: &Device) {
        let (mine, theirs) = (self.state().await, other.state().await);
        assert_eq!(mine.rows, theirs.rows, "equal rows");
        assert_eq!(mine.digest, theirs.digest, "equal objects");
        assert_eq!([mine.pending, mine.held, theirs.pending, theirs.held], [0; 4], "nothing waits");
    }

    /// The changes of `author` to the application's records, in the bytes in which they are served.
    pub async fn bytes_of(&self, author: DeviceId) -> Vec<Vec<u8>> {
        let mut request = PullRequest {
            library: self.engine.library_id(),
            device: DeviceId::from_bytes([9; 16]),
            log_id: None,
            from_seq: Seq(0),
            have: Vector::new(),
            max_entries: 1_000,
            max_bytes: 1 << 20,
            takes_compacted: true,
        };
        let mut found = Vec::new();
        loop {
            let page = self.engine.pull(request.clone()).await.expect("a page");
            for entry in page.entries {
                let Entry::Change(bytes) = entry else { panic!("a reader that has nothing is given all") };
                let change = sync_core::Change::decode(&bytes).expect("a change");
                if change.device == author && is_of_the_application(&change) {
                    found.push(bytes.into_vec());
                }
            }
            request.from_seq = page.next_seq;
            if page.next_seq >= page.latest_seq {
                return found;
            }
        }
    }
}

/// Fails unless all `devices` are sound, have the same objects, and nothing waits. Their programs, and so their rows, may differ.
pub async fn agree(devices: &[impl Borrow<Device>]) {
    let digest = devices[0].borrow().digest().await;
    for device in devices.iter().map(Borrow::borrow) {
        device.assert_sound().await;
        assert_eq!(device.engine.pending().await.expect("pending"), []);
        assert_eq!(device.digest().await, digest, "equal objects");
    }
}

/// Fails unless all `devices` are sound and have the same rows and objects. Something may wait.
pub async fn equal(devices: &[impl Borrow<Device>]) {
    let (rows, digest) = (devices[0].borrow().dump().await, devices[0].borrow().digest().await);
    for device in devices.iter().map(Borrow::borrow) {
        assert_eq!(device.dump().await, rows, "equal rows");
        assert_eq!(device.digest().await, digest, "equal objects");
        device.assert_sound().await;
    }
}
