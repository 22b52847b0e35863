//! Pages of settings: how many, where the next one begins, and what of them can be read.
//!
//! Refuses: tokens that were made for another list.

use super::{Service, explain};
use crate::refusal::Refusal;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use store::{Kind, Setting};

/// Settings of a page at the most, and where nobody says.
const LIMIT: u32 = 1_000;
const USUAL: u32 = 10;

/// How many a page has.
pub(super) fn size(asked: i32) -> Result<u32, Refusal> {
    match u32::try_from(asked) {
        Ok(0) => Ok(USUAL),
        Ok(number) => Ok(number.min(LIMIT)),
        Err(_) => Err(Refusal::malformed("page_size", "must not be negative")),
    }
}

/// A page of the settings of a kind, as `read` reads them, and the next page's token. One that cannot be read hides no other.
pub(super) async fn of<T>(
    service: &Service,
    kind: Kind,
    asked: i32,
    token: &str,
    read: impl Fn(&Setting) -> Result<T, String>,
) -> Result<(Vec<T>, String), Refusal> {
    let (list, size) = (kind.as_str(), size(asked)?);
    let after = last(list, token)?;
    let settings = service.store.settings(kind, after.as_deref(), size + 1).await;
    let mut settings = settings.map_err(|error| explain(error, list))?;
    let next = cut(&mut settings, size, list, |setting| &setting.id);
    let named = settings.iter().map(|setting| (format!("{list}/{}", setting.id), read(setting)));
    Ok((service.readable(named), next))
}

/// The token for what lies behind `last` in the list of this name.
fn token(list: &str, last: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{list}/{last}"))
}

/// The last id of the page before; `None` for the first page.
fn last(list: &str, token: &str) -> Result<Option<String>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = || {
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        Some(text.strip_prefix(list)?.strip_prefix('/')?.to_owned())
    };
    let wrong = "was not made for this list: ask for the first page again";
    read().map(Some).ok_or_else(|| Refusal::malformed("page_token", wrong))
}

/// Cuts what was read for a page, which is one more than it has, and makes the next page's token of it.
fn cut<T>(items: &mut Vec<T>, size: u32, list: &str, id: impl Fn(&T) -> &str) -> String {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if items.len() <= size {
        return String::new();
    }
    items.truncate(size);
    items.last().map(|last| token(list, id(last))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_use_with_its_own_list_alone() {
        assert_eq!(last("sources", &token("sources", "urva")), Ok(Some("urva".to_owned())));
        assert_eq!(last("sources", ""), Ok(None));
        for forged in ["x", "é", &token("muteConfigs", "a"), "c291cmNlcw"] {
            assert!(last("sources", forged).is_err(), "{forged}");
        }
    }

    #[test]
    fn a_page_is_cut_and_says_where_the_next_begins() {
        let mut ids = vec!["a", "b", "c"];
        assert_eq!(cut(&mut ids, 2, "sources", |id| id), token("sources", "b"));
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(cut(&mut ids, 2, "sources", |id| id), "");
        assert_eq!((size(0), size(2000)), (Ok(USUAL), Ok(LIMIT)));
        assert!(size(-1).is_err());
    }
}
