//! The routes of REST, as the protocol's own annotations give them.
//!
//! Owns: reading `google.api.http` of each method, and finding the method that a request means.
//! Refuses: routes written by hand, but for those of operations, which Google keeps in its service's configuration
//! rather than in the protocol.

use super::template::{BadEncoding, Binding, Template, parts};
use crate::protocol;
use http::Method;
use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage, Value};
use std::sync::LazyLock;

/// Where the body of a request belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// The request has none.
    None,
    /// It is the whole message.
    Whole,
    /// It is this field.
    Field(String),
}

/// One way to call a method.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) verb: Method,
    pub(crate) template: Template,
    pub(crate) body: Body,
    pub(crate) method: MethodDescriptor,
    /// Which of the ways to call its method this is.
    pub(crate) number: usize,
}

impl Route {
    /// The field that the body is.
    pub(crate) fn body_field(&self) -> Option<&str> {
        match &self.body {
            Body::Field(field) => Some(field),
            Body::None | Body::Whole => None,
        }
    }

    pub(crate) fn takes_whole_body(&self) -> bool {
        self.body == Body::Whole
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Route>);

/// Those of the protocol, which is a part of the program.
pub(crate) static ROUTES: LazyLock<Routes> = LazyLock::new(Routes::read);

/// What a request means.
pub(crate) enum Found<'a> {
    Route(&'a Route, Vec<Binding<'a>>),
    /// The path is one of the API's, and takes these methods only.
    OtherVerbs(Vec<&'a Method>),
    BadEncoding(BadEncoding),
    Nothing,
}

/// Scopes in which operations lie.
const OPERATIONS: [&str; 3] = ["organizations", "folders", "projects"];

impl Routes {
    /// Reads the annotations.
    fn read() -> Self {
        let methods: Vec<MethodDescriptor> =
            protocol::services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
        let mut routes: Vec<Route> = methods.iter().flat_map(numbered).collect();
        // What ends in a verb is asked first: a name's last part could end like one.
        routes.sort_by_key(|route| route.template.verb().is_none());
        Self(routes)
    }

    /// The route of a request.
    pub(crate) fn find(&self, verb: &Method, path: &str) -> Found<'_> {
        let mut others: Vec<&Method> = Vec::new();
        let Some(parts) = parts(path) else { return Found::Nothing };
        for route in &self.0 {
            match route.template.bind(&parts) {
                None => {}
                Some(_) if route.verb != *verb => others.push(&route.verb),
                Some(Ok(bindings)) => return Found::Route(route, bindings),
                Some(Err(error)) => return Found::BadEncoding(error),
            }
        }
        others.sort_by_key(|verb| verb.as_str());
        others.dedup();
        if others.is_empty() { Found::Nothing } else { Found::OtherVerbs(others) }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

fn numbered(method: &MethodDescriptor) -> Vec<Route> {
    let numbers = (0..).zip(routes_of(method));
    numbers.map(|(number, route)| Route { number, ..route }).collect()
}

fn routes_of(method: &MethodDescriptor) -> Vec<Route> {
    let route = |verb: Method, path: &str, body: &str| {
        let body = match body {
            "" => Body::None,
            "*" => Body::Whole,
            field => Body::Field(field.to_owned()),
        };
        Template::parse(path).map(|template| Route {
            verb,
            template,
            body,
            method: method.clone(),
            number: 0,
        })
    };
    if method.parent_service().name() == "Operations" {
        let paths = OPERATIONS.iter().filter_map(|scope| operation_path(method.name(), scope));
        return paths.filter_map(|(verb, path)| route(verb, &path, "")).collect();
    }
    let rules = rules_of(method);
    let paths = rules.iter().filter_map(|rule| {
        let (verb, path) = path_of(rule)?;
        let body = text(rule, "body");
        route(verb, &path, &body)
    });
    paths.collect()
}

/// Paths of `google.longrunning.Operations` in Security Command Center, as its official clients know them.
fn operation_path(method: &str, scope: &str) -> Option<(Method, String)> {
    let one = format!("/v2/{{name={scope}/*/operations/*}}");
    match method {
        "GetOperation" => Some((Method::GET, one)),
        "DeleteOperation" => Some((Method::DELETE, one)),
        "CancelOperation" => Some((Method::POST, format!("{one}:cancel"))),
        "ListOperations" => Some((Method::GET, format!("/v2/{{name={scope}/*/operations}}"))),
        _ => None,
    }
}

/// A method's rule and its additional ones.
fn rules_of(method: &MethodDescriptor) -> Vec<DynamicMessage> {
    let options = method.options();
    let Some(extension) = protocol::POOL.get_extension_by_name("google.api.http") else {
        return Vec::new();
    };
    let Value::Message(rule) = options.get_extension(&extension).into_owned() else { return Vec::new() };
    let additional = rule.get_field_by_name("additional_bindings").map(|field| field.into_owned());
    let mut rules = vec![rule];
    if let Some(Value::List(list)) = additional {
        rules.extend(list.into_iter().filter_map(|value| value.as_message().cloned()));
    }
    rules
}

fn path_of(rule: &DynamicMessage) -> Option<(Method, String)> {
    let verbs = [
        ("get", Method::GET),
        ("post", Method::POST),
        ("put", Method::PUT),
        ("patch", Method::PATCH),
        ("delete", Method::DELETE),
    ];
    verbs
        .into_iter()
        .find(|(name, _)| rule.has_field_by_name(name))
        .map(|(name, verb)| (verb, text(rule, name)))
}

fn text(message: &DynamicMessage, field: &str) -> String {
    debug_assert!(message.descriptor().get_field_by_name(field).is_some());
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(verb: &Method, path: &str, method: &str, bindings: &[(&str, &str)]) {
        let Found::Route(route, bound) = ROUTES.find(verb, path) else { panic!("{path} has no route") };
        assert_eq!(route.method.name(), method);
        let bound: Vec<(&str, &str)> = bound.iter().map(|(field, value)| (*field, value.as_str())).collect();
        assert_eq!(bound, bindings);
    }

    #[test]
    fn each_method_of_security_command_center_has_a_route() {
        let (mut methods, mut paths) = (0, 0);
        for service in protocol::services() {
            for method in service.methods().filter(|method| method.name() != "WaitOperation") {
                let own = ROUTES.iter().filter(|route| route.method == method).count();
                assert!(own > 0, "{} has no route", method.full_name());
                (methods, paths) = (methods + 1, paths + own);
            }
        }
        // Those of the protocol's release 9.3.1 for Node.js, and of operations.
        assert_eq!((methods, paths), (44, 157));
    }

    #[test]
    fn the_path_names_the_method_and_its_fields() {
        let parent = ("parent", "organizations/1/sources/-");
        check(&Method::GET, "/v2/organizations/1/sources/-/findings", "ListFindings", &[parent]);
        check(&Method::POST, "/v2/organizations/1/sources/-/findings:group", "GroupFindings", &[parent]);
        check(
            &Method::PATCH,
            "/v2/folders/1/sources/2/locations/global/findings/3",
            "UpdateFinding",
            &[("finding.name", "folders/1/sources/2/locations/global/findings/3")],
        );
        check(
            &Method::POST,
            "/v2/projects/1/sources/2/findings/3:setState",
            "SetFindingState",
            &[("name", "projects/1/sources/2/findings/3")],
        );
        check(
            &Method::GET,
            "/v2/organizations/1/operations/2",
            "GetOperation",
            &[("name", "organizations/1/operations/2")],
        );
    }

    #[test]
    fn a_path_of_another_method_names_what_it_takes() {
        let Found::OtherVerbs(verbs) = ROUTES.find(&Method::PUT, "/v2/organizations/1/sources/-/findings")
        else {
            panic!("it has other methods")
        };
        assert_eq!(verbs, [&Method::GET, &Method::POST]);
        assert!(matches!(ROUTES.find(&Method::GET, "/v1/organizations/1/sources"), Found::Nothing));
    }
}
