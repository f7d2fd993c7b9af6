//! Values that are kept outside of this process are sealed: AES-256-GCM under a derived key, with
//! the place where they are kept as associated data. Who can write there can neither read a value
//! nor make one, nor move one to another place or prolong its life.
//!
//! A nonce is 96 random bits. That is safe for about 4,000 million values under one key; a value
//! belongs to a call that was paid for, so no operator comes near.

use std::{fmt, sync::Arc};

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 12;

/// Seals and opens values under one key.
#[derive(Clone)]
pub struct Sealer(Arc<Aes256Gcm>);

impl Sealer {
    /// A sealer with a derived key.
    #[must_use]
    pub fn new(key: &Zeroizing<[u8; 32]>) -> Self {
        Self(Arc::new(Aes256Gcm::new((&**key).into())))
    }

    /// Seals a value for a place; `None` if it is too long for the cipher, which no value is.
    #[must_use]
    pub fn seal(&self, place: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: value,
            aad: place,
        };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    /// Opens a value; `None` if it was not sealed under this key for this place.
    #[must_use]
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: sealed,
            aad: place,
        };
        self.0.decrypt(&Nonce::from(*nonce), payload).ok()
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&Zeroizing::new([byte; 32]))
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_alone() {
        let sealed = sealer(1).seal(b"here", b"value").unwrap();
        assert_eq!(sealer(1).open(b"here", &sealed).unwrap(), b"value");
        assert_eq!(sealer(1).open(b"there", &sealed), None);
        assert_eq!(sealer(2).open(b"here", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(sealer(1).open(b"here", &changed), None, "byte {at}");
            assert_eq!(sealer(1).open(b"here", &sealed[..at]), None, "length {at}");
        }
    }

    #[test]
    fn the_same_value_never_looks_the_same() {
        let seal = || sealer(1).seal(b"here", b"value").unwrap();
        assert_ne!(seal(), seal());
        assert!(!seal().windows(5).any(|window| window == b"value"));
    }
}
