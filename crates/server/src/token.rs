//! API tokens: what they look like, and what their roles may do.
//!
//! Owns: making tokens, hashing them, the roles and the least role for each method.
//! Refuses: keeping tokens. The store has their hashes only, so that who reads it can call nothing.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use evidence::Sha256;
use std::fmt;
use std::str::FromStr;

/// What each token begins with, so that scanners of repositories and logs know it.
const PREFIX: &str = "urva_";

/// Random bytes in a token.
const RANDOM: usize = 32;

/// A token as its owner has it. It is shown once and written nowhere: `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Makes a token of random bytes.
    pub fn from_random(random: &[u8; RANDOM]) -> Self {
        Self(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random)))
    }

    /// Reads what somebody sent; `None` where it cannot be a token.
    pub fn parse(text: &str) -> Option<Self> {
        let random = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (random.len() == RANDOM).then(|| Self(text.to_owned()))
    }

    /// The token itself, to be shown to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the store keeps of it. 256 random bits need neither salt nor a slow hash.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::of(self.0.as_bytes()).0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// What a token may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Works on findings: state, mute, marks, contents.
    Analyst,
    /// Acts on many at once and for the future: mute rules, bulk mute.
    Responder,
    /// Everything: sources, and who is told of findings.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Analyst, Self::Responder, Self::Admin];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Responder => "responder",
            Self::Admin => "admin",
        }
    }

    /// The least role that may call a method of gRPC, by its name without its service.
    pub(crate) fn for_method(method: &str) -> Self {
        let starts = |verbs: &[&str]| verbs.iter().any(|verb| method.starts_with(verb));
        match method {
            "TestIamPermissions" => Self::Viewer,
            "GetIamPolicy" => Self::Admin,
            "CreateFinding" | "UpdateFinding" | "SetFindingState" | "SetMute" => Self::Analyst,
            "UpdateSecurityMarks" | "UpdateExternalSystem" => Self::Analyst,
            "CreateMuteConfig" | "UpdateMuteConfig" | "DeleteMuteConfig" | "BulkMuteFindings" => {
                Self::Responder
            }
            "CancelOperation" | "DeleteOperation" => Self::Responder,
            _ if starts(&["Get", "List", "Group", "Wait"]) => Self::Viewer,
            // Whatever the protocol brings next is closed until somebody thought about it.
            _ => Self::Admin,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be viewer, analyst, responder or admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol;

    #[test]
    fn a_token_is_read_as_it_was_made() {
        let token = Token::from_random(&[7; RANDOM]);
        assert_eq!(token.reveal(), "urva_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc");
        assert_eq!(Token::parse(token.reveal()), Some(token.clone()));
        assert_eq!(format!("{token:?}"), "Token");
        assert_ne!(token.hash(), Token::from_random(&[8; RANDOM]).hash());
    }

    #[test]
    fn what_cannot_be_a_token_is_none() {
        let token = Token::from_random(&[7; RANDOM]);
        for text in
            ["", "urva_", "urva_BwcH", &token.reveal()[5..], &format!("{}=", token.reveal()), "urva_é"]
        {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }

    #[test]
    fn who_may_only_read_cannot_change_anything() {
        let changes = ["Create", "Update", "Delete", "Set", "Bulk", "Batch", "Cancel"];
        for method in protocol::services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let is_change = changes.iter().any(|verb| method.name().starts_with(verb));
            let is_for_viewers = Role::for_method(method.name()) == Role::Viewer;
            let expected = !is_change && method.name() != "GetIamPolicy";
            assert_eq!(is_for_viewers, expected, "{}", method.name());
        }
        assert_eq!(Role::for_method("CreateSource"), Role::Admin);
        assert_eq!(Role::for_method("SomethingNew"), Role::Admin);
    }
}
