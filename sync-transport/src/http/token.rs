//! Bearer tokens: the secret a client shows, and the hash a server keeps of it.
//!
//! Invariant: a token is printed only by [`Token::reveal`]; a hash is compared in constant time.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;
use sync_core::runtime::Random;

use super::HttpError;

const LONGEST: usize = 4096;

/// A bearer token. Its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token with this text.
    ///
    /// # Errors
    /// [`HttpError::InvalidToken`] unless it is 1 to 4096 visible ASCII characters.
    pub fn new(text: impl Into<String>) -> Result<Self, HttpError> {
        let text = text.into();
        let reason = match text.len() {
            0 => "it is empty",
            length if length > LONGEST => "it is longer than 4096 characters",
            _ if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                "it has other than visible ASCII characters"
            }
            _ => return Ok(Self(text)),
        };
        Err(HttpError::InvalidToken { reason })
    }

    /// A new token of 256 random bits, in 43 characters.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The secret text, to hand it to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What a server keeps instead of the token.
    pub fn hash(&self) -> TokenHash {
        TokenHash(*blake3::hash(self.0.as_bytes()).as_bytes())
    }
}

impl FromStr for Token {
    type Err = HttpError;

    fn from_str(text: &str) -> Result<Self, HttpError> {
        Self::new(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// The BLAKE3 hash of a token, printed and read as 64 hexadecimal digits. Enough for a random token; a password
/// would need a slow hash and has no place here.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// True for the hash of the same token, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.choice(other).into()
    }

    pub(super) fn choice(&self, other: &Self) -> subtle::Choice {
        self.0.ct_eq(&other.0)
    }
}

impl FromStr for TokenHash {
    type Err = HttpError;

    fn from_str(text: &str) -> Result<Self, HttpError> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| HttpError::InvalidToken { reason: "a hash of a token has 64 hexadecimal digits" })
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&blake3::Hash::from_bytes(self.0).to_hex(), f)
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use sync_core::runtime::SystemRandom;

    use super::*;

    #[test]
    fn generated_tokens_are_new_and_valid() {
        let (one, other) = (Token::generate(&SystemRandom), Token::generate(&SystemRandom));
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), 43);
        assert_eq!(Token::new(one.reveal()).unwrap(), one);
        assert!(!one.hash().matches(&other.hash()));
    }

    #[test]
    fn a_hash_survives_as_text_and_the_secret_is_never_printed() {
        let token = Token::new("a-secret").unwrap();
        let hash: TokenHash = token.hash().to_string().parse().unwrap();
        assert!(hash.matches(&token.hash()));
        assert!(!format!("{token:?} {hash:?}").contains("secret"));
    }

    #[test]
    fn what_a_header_cannot_carry_is_refused() {
        for text in ["", "two words", "line\nbreak", "ümlaut", &"x".repeat(5000)] {
            assert!(matches!(Token::new(text), Err(HttpError::InvalidToken { .. })), "{text:?}");
        }
    }
}
