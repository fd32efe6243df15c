//! Who takes part in the library.

use super::handle::SyncEngine;
use crate::{
    ids::DeviceId,
    peer::{Member, SyncError},
};

impl SyncEngine {
    /// The devices of the library: each writes a record of itself with its first round and once a day after that, and the
    /// record travels like any other. A peer whose program is older writes none and is listed once a round was made with it.
    /// History is kept for those that are [`Active`](crate::Standing::Active) or [`Silent`](crate::Standing::Silent) and say what they
    /// have, whether or not this device ever met them.
    ///
    /// ```no_run
    /// # async fn f(engine: sync_core::SyncEngine) -> Result<(), sync_core::SyncError> {
    /// for member in engine.members().await? {
    ///     println!("{} {:?}", member.device, member.name);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Store`] if the database refuses.
    pub async fn members(&self) -> Result<Vec<Member>, SyncError> {
        self.running()?;
        self.inner.replica.members().await
    }

    /// Says that a device is gone for good: nobody keeps history for it any more. It stays in the list, with
    /// [`left_at_ms`](Member::left_at_ms); one without a record is taken off it. It keeps no device out: one that comes back says so
    /// itself, with its next round, and reads the state if it has to. Gives false if the device is not known, or was gone already.
    ///
    /// # Errors
    /// [`SyncError::OwnDevice`] for this device itself; [`SyncError::Store`] if the database refuses.
    pub async fn remove_member(&self, device: DeviceId) -> Result<bool, SyncError> {
        self.running()?;
        self.inner.replica.remove_member(device).await
    }

    /// Revokes a device: from now on this replica refuses it, and so does each other as soon as it hears of that. Any device may say so
    /// of any other, also of one that is not known yet, and nobody can take it back. What the device wrote before stays.
    /// It keeps what it has, its calls fail with [`PeerError::Revoked`](crate::PeerError::Revoked), and nothing keeps history for it.
    /// Gives false if it was revoked already.
    ///
    /// This stops a device that keeps to the protocol. A device says itself who it is, and a copy of its database has another id:
    /// whoever must be kept out for certain is to lose its access to the transport too, its token.
    ///
    /// # Errors
    /// [`SyncError::OwnDevice`] for this device itself; [`SyncError::Store`] if the database refuses.
    pub async fn revoke(&self, device: DeviceId) -> Result<bool, SyncError> {
        self.running()?;
        self.inner.replica.revoke(device).await
    }
}
