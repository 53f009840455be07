//! The bearer token (RFC 6750): one secret that a client sends along.

use super::files;
use anyhow::{Result, ensure};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use subtle::ConstantTimeEq as _;

/// Fewer characters than this can be guessed.
const MIN_CHARACTERS: usize = 16;

/// A token, known by its digest alone: the digests of any two texts are equally
/// long, so comparing them tells neither the token's length nor where a guess
/// goes wrong.
#[derive(Debug)]
pub(super) struct Token([u8; 32]);

impl Token {
    /// Reads a file that holds a token and perhaps a line end.
    ///
    /// # Errors
    /// Others may read the file, or it holds no good token.
    pub(super) fn read(path: &Path) -> Result<Self> {
        // Its name may be the token itself, which somebody wrote in its place.
        let bytes = files::read_secret(path, &"bearer_token_file")?;
        let token = bytes.trim_ascii_end();
        // RFC 6750, section 2.1: b64token.
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        ensure!(
            token.len() >= MIN_CHARACTERS && token.iter().all(fits),
            "{} must hold one token of at least {MIN_CHARACTERS} letters, digits and -._~+/=: \
             write one with `openssl rand -hex 32`",
            path.display()
        );
        Ok(Self(Sha256::digest(token).into()))
    }

    /// Whether this value of an `Authorization` header carries the token.
    pub(super) fn is_in(&self, authorization: &[u8]) -> bool {
        const SCHEME: &[u8] = b"Bearer ";
        let Some((scheme, sent)) = authorization.split_at_checked(SCHEME.len()) else {
            return false;
        };
        let digest: [u8; 32] = Sha256::digest(sent.trim_ascii()).into();
        scheme.eq_ignore_ascii_case(SCHEME) && bool::from(digest.ct_eq(&self.0))
    }
}
