//! Who may call a server: the trait that tells callers apart by their tokens, and a set of tokens that does.
//!
//! Invariant: [`Tokens`] keeps hashes only, and looks at every one of them whichever fits, so that the time of
//! an answer says nothing about the set.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{PoisonError, RwLock},
};

use async_trait::async_trait;
use subtle::{ConditionallySelectable, ConstantTimeEq};
use sync_core::{LibraryId, PeerError, runtime::Random};

use super::{Token, TokenHash};

/// Tells callers apart by their tokens.
#[async_trait]
pub trait Authenticator: Debug + Send + Sync {
    /// Whose token it is. Called for every request, before its body is read.
    ///
    /// # Errors
    /// [`PeerError::Unauthorized`] when it is nobody's, [`PeerError::Busy`] when that cannot be said now.
    async fn authenticate(&self, token: &Token) -> Result<Identity, PeerError>;
}

/// A caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who it is, for logs and for the resolver of libraries.
    pub name: String,
    /// The libraries it may sync; `None` for all.
    pub libraries: Option<BTreeSet<LibraryId>>,
}

impl Identity {
    /// A caller who may sync every library.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), libraries: None }
    }

    /// The caller restricted to these libraries.
    pub fn only(self, libraries: impl IntoIterator<Item = LibraryId>) -> Self {
        Self { libraries: Some(libraries.into_iter().collect()), ..self }
    }

    /// True if it may sync `library`.
    pub fn may_sync(&self, library: LibraryId) -> bool {
        self.libraries.as_ref().is_none_or(|libraries| libraries.contains(&library))
    }
}

/// A set of tokens, changeable while a server uses it.
///
/// An identity may have several tokens, so that one can be replaced without a gap. To keep the set, write down
/// [`Token::hash`] and the identity, and [`add_hash`](Self::add_hash) them at the next start.
#[derive(Debug, Default)]
pub struct Tokens {
    known: RwLock<Vec<(TokenHash, Identity)>>,
}

impl Tokens {
    /// The set without tokens: nobody may call.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the owner of `token` in as `identity`.
    pub fn add(&self, token: &Token, identity: Identity) {
        self.add_hash(token.hash(), identity);
    }

    /// Lets the owner of the token with this hash in as `identity`. A token that is known changes hands.
    pub fn add_hash(&self, hash: TokenHash, identity: Identity) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(other, _)| !other.matches(&hash));
        known.push((hash, identity));
    }

    /// Makes a new token of 256 random bits for `identity`. It is not kept: hand it over now.
    pub fn generate(&self, identity: Identity, random: &dyn Random) -> Token {
        let token = Token::generate(random);
        self.add(&token, identity);
        token
    }

    /// Shuts out every token of the identity named `name`; says how many there were. An open notice stream goes
    /// on until it ends by itself: it carries no data.
    pub fn remove(&self, name: &str) -> usize {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.retain(|(_, identity)| identity.name != name);
        before - known.len()
    }
}

#[async_trait]
impl Authenticator for Tokens {
    async fn authenticate(&self, token: &Token) -> Result<Identity, PeerError> {
        let shown = token.hash();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let nobody = known.len() as u64;
        let mut found = nobody;
        for (at, (hash, _)) in (0_u64..).zip(known.iter()) {
            found.conditional_assign(&at, hash.choice(&shown));
        }
        if found.ct_eq(&nobody).into() {
            return Err(PeerError::Unauthorized("the token is not known here".into()));
        }
        Ok(known[found as usize].1.clone())
    }
}

#[cfg(test)]
mod tests {
    use sync_core::runtime::SystemRandom;

    use super::*;

    #[tokio::test]
    async fn tokens_let_in_until_they_are_removed() {
        let tokens = Tokens::new();
        let library = LibraryId::from_bytes([1; 16]);
        let laptop = tokens.generate(Identity::new("laptop"), &SystemRandom);
        let second = tokens.generate(Identity::new("laptop"), &SystemRandom);
        let phone = tokens.generate(Identity::new("phone").only([library]), &SystemRandom);
        assert_eq!(tokens.authenticate(&laptop).await.unwrap().name, "laptop");
        assert_eq!(tokens.authenticate(&second).await.unwrap().name, "laptop");
        assert_eq!(tokens.authenticate(&phone).await.unwrap(), Identity::new("phone").only([library]));

        assert_eq!(tokens.remove("laptop"), 2);
        assert!(matches!(tokens.authenticate(&laptop).await, Err(PeerError::Unauthorized(_))));
        assert!(matches!(tokens.authenticate(&second).await, Err(PeerError::Unauthorized(_))));
        assert!(tokens.authenticate(&phone).await.is_ok());
        assert_eq!(tokens.remove("laptop"), 0);
    }

    #[tokio::test]
    async fn a_known_token_changes_hands() {
        let tokens = Tokens::new();
        let token = tokens.generate(Identity::new("old"), &SystemRandom);
        tokens.add_hash(token.hash(), Identity::new("new"));
        assert_eq!(tokens.authenticate(&token).await.unwrap().name, "new");
        assert_eq!(tokens.remove("old"), 0);
    }

    #[test]
    fn an_identity_is_restricted_only_when_told() {
        let (one, other) = (LibraryId::from_bytes([1; 16]), LibraryId::from_bytes([2; 16]));
        assert!(Identity::new("all").may_sync(other));
        assert!(Identity::new("some").only([one]).may_sync(one));
        assert!(!Identity::new("some").only([one]).may_sync(other));
        assert!(!Identity::new("none").only([]).may_sync(one));
    }
}
