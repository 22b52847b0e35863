//! Path templates of `google.api.http`: `/v2/{parent=organizations/*}/sources:verb`.
//!
//! Owns: reading templates and matching paths with them, with what is percent-encoded in the path.
//! Refuses: judging the names in a path; that is the names' own business.

use percent_encoding::percent_decode_str;

/// A template that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `*`: one segment, not empty.
    Any,
    /// `**`: the rest of the path.
    Rest,
}

/// A segment, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// This text.
    Literal(&'a str),
    /// Any text.
    Any,
}

/// The segments that a field's value is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    field: String,
    from: usize,
    /// `None`: to the end of the path.
    to: Option<usize>,
}

/// Why a path that has a template's shape cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path is not percent-encoded UTF-8")]
pub(crate) struct BadEncoding;

/// The parts of a path; `None` where it does not begin with `/`.
pub(crate) fn parts(path: &str) -> Option<Vec<&str>> {
    path.strip_prefix('/').map(|path| path.split('/').collect())
}

/// The value of a field that stands in a path.
pub(crate) type Binding<'a> = (&'a str, String);

impl Template {
    /// Reads a template; `None` where it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut template = Self { segments: Vec::new(), variables: Vec::new(), verb: None };
        let mut rest = text.strip_prefix('/')?;
        let braces = rest.rfind('}').unwrap_or(0);
        if let Some((path, verb)) = rest.rsplit_once(':').filter(|(path, _)| path.len() > braces) {
            template.verb = Some(verb.to_owned());
            rest = path;
        }
        while !rest.is_empty() {
            rest = match rest.strip_prefix('{') {
                Some(variable) => {
                    let (variable, after) = variable.split_once('}')?;
                    template.push_variable(variable);
                    after.strip_prefix('/').unwrap_or(after)
                }
                None => {
                    let (segment, after) = rest.split_once('/').unwrap_or((rest, ""));
                    template.segments.push(Segment::parse(segment));
                    after
                }
            };
        }
        Some(template)
    }

    fn push_variable(&mut self, text: &str) {
        let (field, pattern) = text.split_once('=').unwrap_or((text, "*"));
        let from = self.segments.len();
        self.segments.extend(pattern.split('/').map(Segment::parse));
        let has_rest = self.segments.last() == Some(&Segment::Rest);
        let to = (!has_rest).then_some(self.segments.len());
        self.variables.push(Variable { field: field.to_owned(), from, to });
    }

    /// Its segments, one by one; the rest of a path counts as one.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.segments.iter().map(|segment| match segment {
            Segment::Literal(literal) => Place::Literal(literal),
            Segment::Any | Segment::Rest => Place::Any,
        })
    }

    /// The verb that it ends in.
    pub(crate) fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// The fields whose values stand in it.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| variable.field.as_str())
    }

    /// The fields' values in a path, by its parts, which are still encoded; `None` where it has another shape.
    pub(crate) fn bind(&self, parts: &[&str]) -> Option<Result<Vec<Binding<'_>>, BadEncoding>> {
        let Some(verb) = &self.verb else { return self.bind_all(parts) };
        let (last, first) = parts.split_last()?;
        let last = last.strip_suffix(verb.as_str())?.strip_suffix(':')?;
        self.bind_all(&[first, &[last]].concat())
    }

    fn bind_all(&self, parts: &[&str]) -> Option<Result<Vec<Binding<'_>>, BadEncoding>> {
        self.fits(parts).then(|| self.variables.iter().map(|one| one.bind(parts)).collect())
    }

    fn fits(&self, parts: &[&str]) -> bool {
        let has_rest = self.segments.last() == Some(&Segment::Rest);
        let fixed = self.segments.len() - usize::from(has_rest);
        let count_fits = if has_rest { parts.len() > fixed } else { parts.len() == fixed };
        count_fits && self.segments.iter().zip(parts).all(|(segment, part)| segment.fits(part))
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text {
            "*" => Self::Any,
            "**" => Self::Rest,
            literal => Self::Literal(literal.to_owned()),
        }
    }

    fn fits(&self, part: &str) -> bool {
        match self {
            Self::Literal(literal) => literal == part,
            Self::Any => !part.is_empty(),
            Self::Rest => true,
        }
    }
}

impl Variable {
    fn bind<'a>(&'a self, parts: &[&str]) -> Result<Binding<'a>, BadEncoding> {
        let own = parts.get(self.from..self.to.unwrap_or(parts.len())).unwrap_or_default();
        let decoded: Result<Vec<String>, BadEncoding> = own.iter().map(|part| decode(part)).collect();
        Ok((&self.field, decoded?.join("/")))
    }
}

/// A slash that is encoded stays so, as Google's rule for values of several segments says: it is a part of a name.
fn decode(part: &str) -> Result<String, BadEncoding> {
    let kept = part.replace("%2F", "%252F").replace("%2f", "%252f");
    let text = percent_decode_str(&kept).decode_utf8().map_err(|_| BadEncoding)?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, path: &str, expected: Option<&[(&str, &str)]>) {
        let template = Template::parse(template).expect("a template");
        let bound =
            parts(path).and_then(|parts| template.bind(&parts).map(|bound| bound.expect("an encoding")));
        let expected = expected.map(|pairs| {
            pairs.iter().map(|(field, value)| (*field, (*value).to_owned())).collect::<Vec<_>>()
        });
        assert_eq!(bound, expected, "{path}");
    }

    #[test]
    fn a_variable_takes_the_segments_of_its_pattern() {
        let template = "/v2/{parent=organizations/*/sources/*}/findings";
        let bound: &[_] = &[("parent", "organizations/1/sources/-")];
        check(template, "/v2/organizations/1/sources/-/findings", Some(bound));
        check(template, "/v2/organizations/1/sources/-/findings/2", None);
        check(template, "/v2/folders/1/sources/-/findings", None);
        check(template, "/v2/organizations//sources/-/findings", None);
        check(template, "v2/organizations/1/sources/-/findings", None);
        check(template, "/v2/organizations/1/sources/-/findings/", None);
    }

    #[test]
    fn a_verb_stands_behind_the_last_segment() {
        let template = "/v2/{name=projects/*/sources/*/findings/*}:setState";
        let name = "projects/a:b/sources/1/findings/2";
        check(template, &format!("/v2/{name}:setState"), Some(&[("name", name)]));
        check(template, &format!("/v2/{name}:setMute"), None);
        check(template, &format!("/v2/{name}"), None);
        check(
            "/v2/{parent=projects/*}/findings:group",
            "/v2/projects/x/findings:group",
            Some(&[("parent", "projects/x")]),
        );
    }

    #[test]
    fn a_variable_may_take_the_rest_of_the_path() {
        check("/v1/{name=operations/**}", "/v1/operations/a/b/c", Some(&[("name", "operations/a/b/c")]));
        check("/v1/{name=operations/**}", "/v1/operations", None);
        check("/v1/{name}", "/v1/a", Some(&[("name", "a")]));
    }

    #[test]
    fn what_is_encoded_is_decoded_but_for_slashes() {
        let template = "/v2/{name=projects/*/sources/*}";
        check(
            template,
            "/v2/projects/a%20%C3%A9/sources/x%2Fy%2fz",
            Some(&[("name", "projects/a é/sources/x%2Fy%2fz")]),
        );
        check(template, "/v2/projects/../sources/%00", Some(&[("name", "projects/../sources/\0")]));
        let template = Template::parse(template).unwrap();
        assert_eq!(template.bind(&["v2", "projects", "%FF", "sources", "1"]), Some(Err(BadEncoding)));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(template: String, path: String) {
            if let Some(template) = Template::parse(&template) {
                let _ = template.bind(&path.split('/').collect::<Vec<_>>());
            }
        }
    }
}
