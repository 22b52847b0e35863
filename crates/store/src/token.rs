//! Page tokens: where a page ended, as text that is of use only with the query that it was made for. Since it names a place
//! between rows and not a number of them, what is inserted meanwhile shifts nothing.

use crate::StoreError;
use crate::sql::Value;
use evidence::Sha256;
use serde_json::Value as Json;

/// Bytes of a token that is looked at: eight keys of [`KEY_CHARACTERS`], each written as six digits and more in JSON.
const LENGTH_LIMIT: usize = 128 * 1024;

/// Characters of a text that lists are sorted by, so that a token stays short whatever a finding says.
pub(crate) const KEY_CHARACTERS: usize = 1024;

/// What tells one query from another.
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    pub(crate) fn of(parts: &[&str]) -> Self {
        let digest = Sha256::of(Json::from(parts).to_string().as_bytes()).to_string();
        Self(digest.chars().take(16).collect())
    }

    /// The token for the rows behind the one with these keys.
    pub(crate) fn token(&self, keys: &[Value]) -> String {
        let keys: Vec<Json> = keys
            .iter()
            .map(|key| match key {
                Value::Integer(number) => Json::from(*number),
                Value::Text(text) => Json::from(text.clone()),
                Value::Blob(_) => Json::Null,
            })
            .collect();
        let keys = Json::from(keys).to_string();
        let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
        let digits = keys.bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        self.0.chars().chain(digits).collect()
    }

    /// The keys of a token of this query. `is_number` says of each which type it has.
    pub(crate) fn keys(&self, token: &str, is_number: &[bool]) -> Result<Vec<Value>, StoreError> {
        self.read(token, is_number).ok_or(StoreError::PageToken)
    }

    fn read(&self, token: &str, is_number: &[bool]) -> Option<Vec<Value>> {
        let digits = token.strip_prefix(&self.0).filter(|_| token.len() <= LENGTH_LIMIT)?;
        let pairs = digits.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> =
            pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
        let keys: Vec<Json> = serde_json::from_slice(&bytes?).ok()?;
        if keys.len() != is_number.len() {
            return None;
        }
        let key = |(key, is_number): (&Json, &bool)| match is_number {
            true => Some(Value::from(key.as_i64()?)),
            false => Some(Value::from(key.as_str()?)),
        };
        keys.iter().zip(is_number).map(key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_with_its_own_query_alone() {
        let keys = [Value::from("a\"ä"), Value::from(-7)];
        let query = Fingerprint::of(&["state=\"ACTIVE\"", "category"]);
        let token = query.token(&keys);
        assert_eq!(query.keys(&token, &[false, true]).unwrap(), keys);
        let others = [Fingerprint::of(&["state=\"ACTIVE\"", ""]), Fingerprint::of(&[])];
        assert!(others.iter().all(|other| other.keys(&token, &[false, true]).is_err()));
        for types in [&[true, true][..], &[false], &[false, false], &[false, true, true]] {
            query.keys(&token, types).unwrap_err();
        }
    }

    #[test]
    fn the_longest_keys_make_a_token_that_is_read() {
        for letter in ["\u{1}", "\u{10fffe}", "a"] {
            let keys = vec![Value::from(letter.repeat(KEY_CHARACTERS)); 8];
            let query = Fingerprint::of(&["x"]);
            assert_eq!(query.keys(&query.token(&keys), &[false; 8]).unwrap(), keys);
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let query = Fingerprint::of(&["x"]);
        let token = query.token(&[Value::from(1)]);
        let long = format!("{token}{}", "20".repeat(LENGTH_LIMIT));
        for forged in
            ["", "x", "é", &token[..token.len() - 1], &format!("{token}zz"), &format!("{token}é"), &long]
        {
            query.keys(forged, &[true]).unwrap_err();
        }
    }
}
