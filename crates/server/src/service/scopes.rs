//! The organization, folder and project that this urva watches. All of them mean the same findings.

use crate::name::{Scope, ScopeKind};
use crate::refusal::Refusal;

/// What the names of resources may begin with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes {
    /// The organization's id, where there is one.
    pub organization: Option<String>,
    /// The id of the folder that the project lies in, where there is one.
    pub folder: Option<String>,
    /// The project's id.
    pub project: String,
    /// The project's number.
    pub project_number: String,
}

impl Scopes {
    /// Whether a scope is one of these.
    pub(crate) fn check(&self, scope: &Scope) -> Result<(), Refusal> {
        let is_known = match scope.kind {
            ScopeKind::Organization => self.organization.as_ref() == Some(&scope.id),
            ScopeKind::Folder => self.folder.as_ref() == Some(&scope.id),
            ScopeKind::Project => self.project == scope.id || self.project_number == scope.id,
        };
        if is_known { Ok(()) } else { Err(Refusal::NotFound { name: scope.to_string() }) }
    }

    /// What names that urva gives begin with.
    pub(crate) fn root(&self) -> String {
        match &self.organization {
            Some(organization) => format!("organizations/{organization}"),
            None => format!("projects/{}", self.project),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ScopeName;

    #[test]
    fn only_what_is_watched_is_known() {
        let scopes = Scopes {
            organization: Some("1".to_owned()),
            project: "shop".to_owned(),
            project_number: "7".to_owned(),
            ..Scopes::default()
        };
        for (name, is_known) in [
            ("organizations/1", true),
            ("organizations/2", false),
            ("folders/1", false),
            ("projects/shop", true),
            ("projects/7", true),
            ("projects/1", false),
        ] {
            let scope = ScopeName::parse("parent", name).expect("a name").scope;
            assert_eq!(scopes.check(&scope).is_ok(), is_known, "{name}");
        }
        assert_eq!(scopes.root(), "organizations/1");
    }
}
