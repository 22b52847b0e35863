//! Why a call is refused, in the one shape that both transports answer with: `google.rpc.Status`.
//!
//! Owns: the codes, the public messages and their details.
//! Refuses: inner details. What went wrong inside goes to the log, and the caller is told that it did.

use crate::protocol::rpc;
use prost::{Message, Name};
use tonic::{Code, Status};

/// The domain of the reasons in `google.rpc.ErrorInfo`.
const DOMAIN: &str = "urva";

/// A call that is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A field of the request, or the request itself where `field` is empty, cannot be used.
    #[error("{}{description}", prefix(field))]
    Malformed {
        /// The field in the protocol's own spelling, as `finding.name`.
        field: String,
        /// What is wrong with it, and what would not be.
        description: String,
    },
    /// Something that is not there, or nothing that the caller may know of.
    #[error("{name} was not found")]
    NotFound {
        /// Its name.
        name: String,
    },
    /// Something of that name is there already.
    #[error("{name} exists already: choose another id, or update it")]
    Exists {
        /// Its name.
        name: String,
    },
    /// What is there forbids the change.
    #[error("{description}")]
    NotNow {
        /// What forbids it, and what to do.
        description: String,
    },
    /// No token, or none that is valid.
    #[error("{description}")]
    Unauthenticated {
        /// What is wrong with the token.
        description: &'static str,
    },
    /// The token's role does not go so far.
    #[error("{method} needs the role {needed}, and the token has the role {has}")]
    Forbidden {
        /// The method's name.
        method: String,
        /// The least role that may call it.
        needed: &'static str,
        /// The token's role.
        has: &'static str,
    },
    /// Too many calls, or too many at once.
    #[error("{description}")]
    TooMany {
        /// Which limit, and when to try again.
        description: String,
    },
    /// The request, or its answer, took longer than allowed.
    #[error("the request took too long: ask for less at once, or try again")]
    TooSlow,
    /// Something that Security Command Center has and urva does not.
    #[error("{what} is not offered by urva")]
    NotOffered {
        /// What was asked for.
        what: String,
    },
    /// The database cannot be reached or is busy.
    #[error("the store of findings cannot be reached at the moment: try again")]
    Unavailable,
    /// A defect of urva, or a damaged store.
    #[error("the call failed inside of urva: its log says why")]
    Internal,
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

impl Refusal {
    /// A field that cannot be used.
    pub fn malformed(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Malformed { field: field.into(), description: description.into() }
    }

    fn code(&self) -> Code {
        match self {
            Self::Malformed { .. } => Code::InvalidArgument,
            Self::NotFound { .. } => Code::NotFound,
            Self::Exists { .. } => Code::AlreadyExists,
            Self::NotNow { .. } => Code::FailedPrecondition,
            Self::Unauthenticated { .. } => Code::Unauthenticated,
            Self::Forbidden { .. } => Code::PermissionDenied,
            Self::TooMany { .. } => Code::ResourceExhausted,
            Self::TooSlow => Code::DeadlineExceeded,
            Self::NotOffered { .. } => Code::Unimplemented,
            Self::Unavailable => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    /// A word for programs, which stays the same when the message is worded anew.
    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "MALFORMED",
            Self::NotFound { .. } => "NOT_FOUND",
            Self::Exists { .. } => "EXISTS",
            Self::NotNow { .. } => "NOT_NOW",
            Self::Unauthenticated { .. } => "TOKEN_REFUSED",
            Self::Forbidden { .. } => "ROLE_TOO_LOW",
            Self::TooMany { .. } => "LIMIT_REACHED",
            Self::TooSlow => "TOO_SLOW",
            Self::NotOffered { .. } => "NOT_OFFERED",
            Self::Unavailable => "STORE_UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    fn details(&self) -> Vec<prost_types::Any> {
        let info = rpc::ErrorInfo {
            reason: self.reason().to_owned(),
            domain: DOMAIN.to_owned(),
            ..Default::default()
        };
        let mut details = vec![any(&info)];
        match self {
            Self::Malformed { field, description } if !field.is_empty() => {
                let violation = rpc::bad_request::FieldViolation {
                    field: field.clone(),
                    description: description.clone(),
                    ..Default::default()
                };
                details.push(any(&rpc::BadRequest { field_violations: vec![violation] }));
            }
            Self::NotFound { name } | Self::Exists { name } => {
                details.push(any(&rpc::ResourceInfo { resource_name: name.clone(), ..Default::default() }));
            }
            _ => {}
        }
        details
    }
}

/// A message with its type's name, as `google.rpc.Status` carries details.
pub(crate) fn any<M: Message + Name>(message: &M) -> prost_types::Any {
    let type_url = format!("type.googleapis.com/{}", M::full_name());
    prost_types::Any { type_url, value: message.encode_to_vec() }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = refusal.code();
        let message = refusal.to_string();
        let status = rpc::Status { code: code as i32, message: message.clone(), details: refusal.details() };
        Self::with_details(code, message, status.encode_to_vec().into())
    }
}
