//! Names of resources: `organizations/1/sources/2/locations/global/findings/3`.
//!
//! Owns: which names there are, and what may stand in them.
//! Refuses: names of any other shape, with the shape that was expected. What was read here holds no `..`, no `/`,
//! nothing unprintable and nothing encoded, so that it can be compared and stored.

use crate::refusal::Refusal;
use std::fmt;

/// The one location of findings in urva. A name without a location means the same.
pub(crate) const LOCATION: &str = "global";

/// The longest id that is read. Ids that are made have tighter rules.
const ID_LIMIT: usize = 128;

/// What holds everything else: `organizations/ID`, `folders/ID` or `projects/ID`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scope {
    /// Which of the three.
    pub(crate) kind: ScopeKind,
    /// The number, or a project's id.
    pub(crate) id: String,
}

/// The kinds of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ScopeKind {
    /// `organizations/`
    Organization,
    /// `folders/`
    Folder,
    /// `projects/`
    Project,
}

/// `SCOPE` or `SCOPE/locations/global`: the parent of sources and rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScopeName {
    /// The scope.
    pub(crate) scope: Scope,
    /// Whether the location was named.
    pub(crate) located: bool,
}

/// `SCOPE/sources/ID`, with or without the location: the parent of findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceName {
    /// The scope.
    pub(crate) scope: Scope,
    /// The source, `None` for `-`, which means all.
    pub(crate) source: Option<String>,
    /// Whether the location was named.
    pub(crate) located: bool,
}

/// `SOURCE/findings/ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FindingName {
    /// The scope.
    pub(crate) scope: Scope,
    /// The source's id.
    pub(crate) source: String,
    /// Whether the location was named.
    pub(crate) located: bool,
    /// The finding's id.
    pub(crate) finding: String,
}

/// `FINDING/externalSystems/ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExternalSystemName {
    /// The finding.
    pub(crate) finding: FindingName,
    /// The system's id, such as `jira`.
    pub(crate) system: String,
}

/// What lies in a scope with or without the location: `SCOPE/muteConfigs/ID` and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberName {
    /// The scope.
    pub(crate) scope: Scope,
    /// Whether the location was named.
    pub(crate) located: bool,
    /// Of which kind.
    pub(crate) collection: Collection,
    /// Its id.
    pub(crate) id: String,
}

/// Kinds of what lies in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collection {
    /// Rules by which findings are muted.
    MuteConfigs,
    /// Rules by which somebody is told of findings.
    NotificationConfigs,
    /// Work that goes on after its call was answered.
    Operations,
}

impl Collection {
    fn as_str(self) -> &'static str {
        match self {
            Self::MuteConfigs => "muteConfigs",
            Self::NotificationConfigs => "notificationConfigs",
            Self::Operations => "operations",
        }
    }
}

impl ScopeName {
    /// Reads a name that stands in `field`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] with the field and the shape that was expected.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, Refusal> {
        let mut parts = Parts::new(field, text, "SCOPE, or SCOPE/locations/global");
        let scope = parts.scope()?;
        let located = parts.location()?;
        parts.end(Self { scope, located })
    }
}

impl SourceName {
    /// Reads a name that stands in `field`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] with the field and the shape that was expected.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, Refusal> {
        let mut parts = Parts::new(field, text, "SCOPE/sources/ID, or SCOPE/sources/ID/locations/global");
        let scope = parts.scope()?;
        parts.literal("sources")?;
        let source = parts.id_or_all()?;
        let located = parts.location()?;
        parts.end(Self { scope, source, located })
    }
}

impl FindingName {
    const SHAPE: &str = "SCOPE/sources/ID/findings/ID, with or without locations/global before findings";

    /// Reads a name that stands in `field`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] with the field and the shape that was expected.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, Refusal> {
        let mut parts = Parts::new(field, text, Self::SHAPE);
        let name = Self::read(&mut parts)?;
        parts.end(name)
    }

    /// Reads the name of a finding's marks, `FINDING/securityMarks`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] with the field and the shape that was expected.
    pub(crate) fn parse_marks(field: &str, text: &str) -> Result<Self, Refusal> {
        let mut parts = Parts::new(field, text, "FINDING/securityMarks");
        let name = Self::read(&mut parts)?;
        parts.literal("securityMarks")?;
        parts.end(name)
    }

    fn read(parts: &mut Parts<'_>) -> Result<Self, Refusal> {
        let scope = parts.scope()?;
        parts.literal("sources")?;
        let source = parts.id()?;
        let located = parts.location()?;
        parts.literal("findings")?;
        let finding = parts.id()?;
        Ok(Self { scope, source, located, finding })
    }
}

impl ExternalSystemName {
    /// Reads a name that stands in `field`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] with the field and the shape that was expected.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, Refusal> {
        let mut parts = Parts::new(field, text, "FINDING/externalSystems/ID");
        let finding = FindingName::read(&mut parts)?;
        parts.literal("externalSystems")?;
        let system = parts.id()?;
        parts.end(Self { finding, system })
    }
}

impl MemberName {
    /// Reads the name of a member of `collection` that stands in `field`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] with the field and the shape that was expected.
    pub(crate) fn parse(field: &str, text: &str, collection: Collection) -> Result<Self, Refusal> {
        let shape = match collection {
            Collection::MuteConfigs => {
                "SCOPE/muteConfigs/ID, with or without locations/global before muteConfigs"
            }
            Collection::NotificationConfigs => "SCOPE/locations/global/notificationConfigs/ID",
            Collection::Operations => "SCOPE/operations/ID",
        };
        let mut parts = Parts::new(field, text, shape);
        let scope = parts.scope()?;
        let located = parts.location()?;
        parts.literal(collection.as_str())?;
        let id = parts.id()?;
        parts.end(Self { scope, located, collection, id })
    }
}

/// An id that somebody chooses for something new: letters, digits and `-`, a letter first, at most 63.
///
/// # Errors
/// [`Refusal::Malformed`] with the field.
pub(crate) fn check_new_id(field: &str, id: &str) -> Result<(), Refusal> {
    let is_good = (1..=63).contains(&id.len())
        && id.starts_with(|first: char| first.is_ascii_lowercase())
        && !id.ends_with('-')
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let rule = "must be 1 to 63 of a-z, 0-9 and -, a letter first and no - last";
    if is_good { Ok(()) } else { Err(Refusal::malformed(field, rule)) }
}

/// The id of a new finding: 1 to 32 letters and digits.
///
/// # Errors
/// [`Refusal::Malformed`] with the field.
pub(crate) fn check_new_finding_id(field: &str, id: &str) -> Result<(), Refusal> {
    let is_good = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_good { Ok(()) } else { Err(Refusal::malformed(field, "must be 1 to 32 letters and digits")) }
}

/// A name, part by part.
struct Parts<'a> {
    field: &'a str,
    shape: &'static str,
    rest: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn new(field: &'a str, text: &'a str, shape: &'static str) -> Self {
        Self { field, shape, rest: Some(text) }
    }

    fn refuse<T>(&self) -> Result<T, Refusal> {
        let shape = self.shape;
        let scope = if shape.starts_with("SCOPE") || shape.starts_with("FINDING") {
            "; SCOPE is organizations/ID, folders/ID or projects/ID"
        } else {
            ""
        };
        Err(Refusal::malformed(self.field, format!("must be {shape}{scope}")))
    }

    fn next(&mut self) -> Result<&'a str, Refusal> {
        let Some(rest) = self.rest else { return self.refuse() };
        let (part, rest) = rest.split_once('/').map_or((rest, None), |(part, rest)| (part, Some(rest)));
        self.rest = rest;
        Ok(part)
    }

    fn literal(&mut self, expected: &str) -> Result<(), Refusal> {
        if self.next()? == expected { Ok(()) } else { self.refuse() }
    }

    fn id(&mut self) -> Result<String, Refusal> {
        let id = self.next()?;
        if is_id(id) && id != "-" { Ok(id.to_owned()) } else { self.refuse() }
    }

    fn id_or_all(&mut self) -> Result<Option<String>, Refusal> {
        let is_all = self.rest.is_some_and(|rest| rest == "-" || rest.starts_with("-/"));
        if is_all { self.next().map(|_| None) } else { self.id().map(Some) }
    }

    fn scope(&mut self) -> Result<Scope, Refusal> {
        let kind = match self.next()? {
            "organizations" => ScopeKind::Organization,
            "folders" => ScopeKind::Folder,
            "projects" => ScopeKind::Project,
            _ => return self.refuse(),
        };
        Ok(Scope { kind, id: self.id()? })
    }

    /// Whether a location follows; one that urva does not have is refused.
    fn location(&mut self) -> Result<bool, Refusal> {
        if self.rest != Some("locations") && !self.rest.is_some_and(|rest| rest.starts_with("locations/")) {
            return Ok(false);
        }
        self.next()?;
        if self.id()? == LOCATION {
            return Ok(true);
        }
        Err(Refusal::malformed(self.field, "urva has one location, which is global"))
    }

    fn end<T>(self, name: T) -> Result<T, Refusal> {
        if self.rest.is_none() { Ok(name) } else { self.refuse() }
    }
}

fn is_id(id: &str) -> bool {
    let is_of_letters = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:~".contains(&byte));
    (1..=ID_LIMIT).contains(&id.len()) && is_of_letters && id.bytes().any(|byte| byte != b'.')
}

fn location(located: bool) -> &'static str {
    if located { "/locations/global" } else { "" }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ScopeKind::Organization => "organizations",
            ScopeKind::Folder => "folders",
            ScopeKind::Project => "projects",
        };
        write!(f, "{kind}/{}", self.id)
    }
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scope, location(self.located))
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.source.as_deref().unwrap_or("-");
        write!(f, "{}/sources/{source}{}", self.scope, location(self.located))
    }
}

impl fmt::Display for FindingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, source, located, finding } = self;
        write!(f, "{scope}/sources/{source}{}/findings/{finding}", location(*located))
    }
}

impl fmt::Display for ExternalSystemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/externalSystems/{}", self.finding, self.system)
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let collection = self.collection.as_str();
        write!(f, "{}{}/{collection}/{}", self.scope, location(self.located), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: fmt::Display>(parse: impl Fn(&str, &str) -> Result<T, Refusal>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(parse("name", text).expect("a name").to_string(), *text);
        }
        for text in bad {
            let refusal = parse("name", text).map(|name| name.to_string()).expect_err(text);
            assert!(matches!(refusal, Refusal::Malformed { ref field, .. } if field == "name"), "{refusal}");
        }
    }

    #[test]
    fn names_of_each_kind_are_read_and_others_refused() {
        check(
            ScopeName::parse,
            &["organizations/1", "folders/2", "projects/local", "projects/x:y/locations/global"],
            &[
                "",
                "organizations",
                "organizations/",
                "users/1",
                "/organizations/1",
                "organizations/1/",
                "projects/1/locations/eu",
                "projects/-",
                "projects/1/locations",
                "projects/1/locations/",
                "organizations/1/sources/2",
            ],
        );
        check(
            SourceName::parse,
            &[
                "organizations/1/sources/-",
                "projects/local/sources/urva/locations/global",
                "folders/1/sources/2",
            ],
            &[
                "organizations/1/sources",
                "organizations/1/sources/",
                "organizations/1/locations/global/sources/2",
            ],
        );
        check(
            FindingName::parse,
            &["organizations/1/sources/2/findings/3", "projects/p/sources/urva/locations/global/findings/3"],
            &[
                "organizations/1/sources/-/findings/3",
                "organizations/1/sources/2/findings/-",
                "organizations/1/sources/2/findings/3/4",
            ],
        );
        check(
            |field, text| MemberName::parse(field, text, Collection::MuteConfigs),
            &["organizations/1/muteConfigs/a", "projects/p/locations/global/muteConfigs/a"],
            &["organizations/1/notificationConfigs/a", "organizations/1/muteConfigs/a/locations/global"],
        );
        check(
            ExternalSystemName::parse,
            &["folders/1/sources/2/findings/3/externalSystems/jira"],
            &["folders/1/sources/2/findings/3/externalSystems", "folders/1/sources/2/findings/3"],
        );
    }

    #[test]
    fn marks_are_named_by_their_finding() {
        let name =
            FindingName::parse_marks("name", "folders/1/sources/2/findings/3/securityMarks").expect("a name");
        assert_eq!(name.to_string(), "folders/1/sources/2/findings/3");
        assert!(FindingName::parse_marks("name", "folders/1/sources/2/findings/3").is_err());
    }

    #[test]
    fn what_could_climb_or_hide_is_refused() {
        for id in
            ["..", ".", "...", "%00", "\0", "a b", "a%2Fb", "é", "a\nb", "a\\b", "'", "\"", &"a".repeat(129)]
        {
            check(ScopeName::parse, &[], &[&format!("projects/{id}")]);
            check(FindingName::parse, &[], &[&format!("projects/p/sources/{id}/findings/1")]);
        }
    }

    #[test]
    fn new_ids_have_tighter_rules() {
        for (id, is_good) in
            [("a", true), ("a-1", true), ("1a", false), ("a-", false), ("A", false), ("", false)]
        {
            assert_eq!(check_new_id("id", id).is_ok(), is_good, "{id}");
        }
        for (id, is_good) in [("0aZ", true), ("a-b", false), ("", false), (&*"a".repeat(33), false)] {
            assert_eq!(check_new_finding_id("id", id).is_ok(), is_good, "{id}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_as_it_was_or_refused(text: String) {
            if let Ok(name) = SourceName::parse("name", &text) {
                assert_eq!(name.to_string(), text);
            }
        }
    }
}
