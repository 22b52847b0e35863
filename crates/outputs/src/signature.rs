//! Signatures of webhooks, as Standard Webhooks has them: <https://www.standardwebhooks.com>. A receiver checks that a message comes from
//! who knows the key, is not changed, and is not old.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evidence::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// How a key begins that is written as Standard Webhooks writes it.
const PREFIX: &str = "whsec_";

/// The fewest bytes of a key.
const SHORTEST: usize = 24;

/// A key that signs.
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Reads `whsec_` and base64; any other text of 24 bytes or more is the key itself.
    ///
    /// # Errors
    /// What is wrong; the text is not repeated.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let bytes = match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| "holds no base64 behind whsec_")?,
            None => text.as_bytes().to_vec(),
        };
        match bytes.len() >= SHORTEST {
            true => Ok(Self(bytes)),
            false => Err("holds a key of less than 24 bytes"),
        }
    }

    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        // A key of any length is one.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{}.", seconds(at)).as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The value of `webhook-timestamp`.
pub fn seconds(at: Timestamp) -> u64 {
    at.0 / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let key = Key::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a key");
        let at = Timestamp::from_seconds(1_614_265_330);
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_short_key_is_none_and_no_key_is_shown() {
        assert!(
            Key::parse("whsec_c2hvcnQ=").is_err()
                && Key::parse("whsec_?").is_err()
                && Key::parse("").is_err()
        );
        let key = Key::parse("0123456789012345678901234567").expect("a key");
        assert_eq!(format!("{key:?}"), "Key");
    }
}
