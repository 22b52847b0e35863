//! From a request of REST to the message that it stands for.
//!
//! Owns: body, path and query parameters, and the parameters that every Google API knows (`$alt`, `prettyPrint`).
//! Refuses: whatever the message has no field for. A misspelt parameter must not be a filter that was left out.

use super::routes::{Body, Route};
use super::template::Binding;
use crate::refusal::Refusal;
use percent_encoding::percent_decode_str;
use prost::Message;
use prost_reflect::{
    DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value,
};
use serde_json::json;

/// How the answer is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Style {
    /// Enums as numbers, as the official clients ask for.
    pub(crate) enum_numbers: bool,
    pub(crate) pretty: bool,
}

/// The longest name of a parameter that is looked at.
const NAME_LIMIT: usize = 256;

/// The message, encoded, and how to answer it. `query` is what stands behind `?`.
pub(crate) fn read(
    route: &Route,
    bindings: &[Binding<'_>],
    query: &str,
    body: &[u8],
) -> Result<(Vec<u8>, Style), Refusal> {
    let descriptor = route.method.input();
    let mut style = Style::default();
    let mut encoded = read_body(route, &descriptor, body)?.encode_to_vec();
    let mut parameters = DynamicMessage::new(descriptor);
    if percent_decode_str(query).decode_utf8().is_err() {
        return Err(Refusal::malformed("", "the query is not percent-encoded UTF-8"));
    }
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        if name.len() > NAME_LIMIT {
            return Err(Refusal::malformed("", "a query parameter's name is too long"));
        }
        if !style.take(&name, &text)? {
            check_place(route, bindings, &name)?;
            set(&mut parameters, &name, &name, &text)?;
        }
    }
    for (field, text) in bindings {
        set(&mut parameters, field, field, text)?;
    }
    // Two encodings, one behind the other, are their messages merged: what stands in path and query wins.
    encoded.extend(parameters.encode_to_vec());
    Ok((encoded, style))
}

fn read_body(route: &Route, descriptor: &MessageDescriptor, body: &[u8]) -> Result<DynamicMessage, Refusal> {
    let mut message = DynamicMessage::new(descriptor.clone());
    match &route.body {
        Body::None if body.is_empty() => {}
        Body::None => return Err(Refusal::malformed("", "this method takes no body")),
        Body::Whole if body.is_empty() => {}
        Body::Whole => message = from_json(descriptor.clone(), body, "")?,
        Body::Field(name) => {
            let field = descriptor.get_field_by_name(name).ok_or(Refusal::Internal)?;
            let Kind::Message(inner) = field.kind() else { return Err(Refusal::Internal) };
            let text: &[u8] = if body.is_empty() { b"{}" } else { body };
            message.set_field(&field, Value::Message(from_json(inner, text, name)?));
        }
    }
    Ok(message)
}

/// Reads a message from ProtoJSON; unknown fields and unknown names of enums are refused.
fn from_json(descriptor: MessageDescriptor, body: &[u8], field: &str) -> Result<DynamicMessage, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message = DynamicMessage::deserialize_with_options(descriptor, &mut json, &options);
    let message = message.and_then(|message| json.end().map(|()| message));
    message.map_err(|error| Refusal::malformed(field, format!("the body cannot be read: {error}")))
}

/// A parameter may not say what body or path say already.
fn check_place(route: &Route, bindings: &[Binding<'_>], name: &str) -> Result<(), Refusal> {
    let head = name.split('.').next().unwrap_or_default();
    let is_bodys = match &route.body {
        Body::None => false,
        Body::Whole => true,
        Body::Field(field) => is_field(&route.method.input(), head, field),
    };
    if is_bodys {
        return Err(Refusal::malformed(name, "this method takes it in the body, not in the query"));
    }
    let is_paths = bindings.iter().any(|(field, _)| is_field(&route.method.input(), head, field));
    if is_paths { Err(Refusal::malformed(name, "this stands in the path already")) } else { Ok(()) }
}

fn is_field(descriptor: &MessageDescriptor, name: &str, field: &str) -> bool {
    find(descriptor, name).is_some_and(|found| found.name() == field)
}

impl Style {
    /// Takes a parameter that every method knows; `false` where it is none.
    fn take(&mut self, name: &str, text: &str) -> Result<bool, Refusal> {
        let refuse = |description: &str| Err(Refusal::malformed(name, description));
        match (name, text) {
            ("alt" | "$alt", "json" | "json;enum-encoding=proto") => {}
            ("alt" | "$alt", "json;enum-encoding=int") => self.enum_numbers = true,
            ("alt" | "$alt", _) => return refuse("urva answers in JSON: leave it out, or say json"),
            ("prettyPrint" | "$prettyPrint", "true" | "1") => self.pretty = true,
            ("prettyPrint" | "$prettyPrint", "false" | "0") => self.pretty = false,
            ("prettyPrint" | "$prettyPrint", _) => return refuse("must be true or false"),
            // Of use to Google's accounting only.
            ("key" | "quotaUser" | "$.xgafv", _) => {}
            ("access_token" | "oauth_token", _) => {
                return refuse("a token in an address ends up in logs: send it in the header Authorization");
            }
            ("callback" | "fields" | "$fields" | "uploadType" | "upload_protocol", _) => {
                return refuse("urva does not offer this parameter");
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A field by the protocol's name or by JSON's.
fn find(descriptor: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    descriptor.get_field_by_name(name).or_else(|| descriptor.get_field_by_json_name(name))
}

/// Sets the field at `path`; `name` is the whole parameter's, for the message.
fn set(message: &mut DynamicMessage, name: &str, path: &str, text: &str) -> Result<(), Refusal> {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let unknown = || Refusal::malformed(name, "this method has no such parameter");
    let field = find(&message.descriptor(), head).ok_or_else(unknown)?;
    match (rest, field.kind()) {
        (Some(rest), Kind::Message(inner))
            if !field.is_list() && !field.is_map() && !is_well_known(&inner) =>
        {
            let inner = message.get_field_mut(&field).as_message_mut().ok_or(Refusal::Internal)?;
            set(inner, name, rest, text)
        }
        (None, Kind::Message(inner)) if inner.full_name() == "google.protobuf.FieldMask" => {
            set_mask(message, &field, text)
        }
        (None, Kind::Message(inner)) if !is_well_known(&inner) => Err(unknown()),
        (None, kind) => set_leaf(message, &field, &kind, name, text),
        (Some(_), _) => Err(unknown()),
    }
}

/// Messages that JSON writes as one text.
fn is_well_known(message: &MessageDescriptor) -> bool {
    matches!(
        message.full_name(),
        "google.protobuf.Timestamp" | "google.protobuf.Duration" | "google.protobuf.FieldMask"
    )
}

fn set_leaf(
    message: &mut DynamicMessage,
    field: &FieldDescriptor,
    kind: &Kind,
    name: &str,
    text: &str,
) -> Result<(), Refusal> {
    let malformed = |what: &str| Refusal::malformed(name, format!("cannot be read as {what}"));
    let value = match kind {
        Kind::Bool => json!(text.parse::<bool>().map_err(|_| malformed("true or false"))?),
        Kind::Enum(_) => text.parse::<i32>().map_or_else(|_| json!(text), |number| json!(number)),
        _ => json!(text),
    };
    let value =
        if field.is_list() { json!({field.json_name(): [value]}) } else { json!({field.json_name(): value}) };
    let read = DynamicMessage::deserialize(message.descriptor(), value);
    let read = read.map_err(|error| malformed(&format!("its type: {error}")))?;
    let value = read.get_field(field).into_owned();
    if let Value::List(new) = value {
        message.get_field_mut(field).as_list_mut().ok_or(Refusal::Internal)?.extend(new);
    } else if message.has_field(field) {
        return Err(Refusal::malformed(name, "is given twice"));
    } else {
        message.set_field(field, value);
    }
    Ok(())
}

/// A field mask is paths, separated by commas, in either spelling.
fn set_mask(message: &mut DynamicMessage, field: &FieldDescriptor, text: &str) -> Result<(), Refusal> {
    let paths = text.split(',').map(str::trim).filter(|path| !path.is_empty());
    let new: Vec<Value> = paths.map(|path| Value::String(path.to_owned())).collect();
    let mask = message.get_field_mut(field).as_message_mut().ok_or(Refusal::Internal)?;
    let paths = mask.descriptor().get_field_by_name("paths").ok_or(Refusal::Internal)?;
    mask.get_field_mut(&paths).as_list_mut().ok_or(Refusal::Internal)?.extend(new);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::v2;
    use crate::rest::routes::{Found, ROUTES};
    use http::Method;

    fn request<M: Message + Default>(verb: &Method, target: &str, body: &str) -> Result<(M, Style), Refusal> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Found::Route(route, bindings) = ROUTES.find(verb, path) else { panic!("{path} has no route") };
        let (encoded, style) = read(route, &bindings, query, body.as_bytes())?;
        Ok((M::decode(encoded.as_slice()).expect("a message"), style))
    }

    #[track_caller]
    fn check<M: Message + Default + PartialEq + std::fmt::Debug>(
        verb: &Method,
        target: &str,
        body: &str,
        expected: &M,
    ) {
        let (message, _) = request::<M>(verb, target, body).expect("a request");
        assert_eq!(&message, expected);
    }

    #[track_caller]
    fn refused(verb: &Method, target: &str, body: &str, expected: &str) {
        let refusal =
            request::<v2::Finding>(verb, target, body).map(|_| ()).expect_err("a request that is refused");
        assert!(refusal.to_string().contains(expected), "{refusal}");
    }

    const LIST: &str = "/v2/organizations/1/sources/-/findings";
    const FINDING: &str = "/v2/organizations/1/sources/2/findings/3";

    #[test]
    fn query_parameters_are_fields_in_either_spelling() {
        let expected = v2::ListFindingsRequest {
            parent: "organizations/1/sources/-".to_owned(),
            filter: "state=\"ACTIVE\"".to_owned(),
            order_by: "event_time desc".to_owned(),
            page_size: 7,
            field_mask: Some(prost_types::FieldMask { paths: vec!["finding.state".to_owned()] }),
            ..Default::default()
        };
        let filter = "filter=state%3D%22ACTIVE%22";
        for query in [
            "orderBy=event_time+desc&pageSize=7&fieldMask=finding.state",
            "order_by=event_time%20desc&page_size=7&field_mask=finding.state",
        ] {
            check(&Method::GET, &format!("{LIST}?{filter}&{query}"), "", &expected);
        }
    }

    #[test]
    fn the_body_is_a_field_and_the_path_wins() {
        let target = format!("{FINDING}?updateMask=state,eventTime");
        let body = r#"{"name": "organizations/9/sources/9/findings/9", "state": "INACTIVE", "severity": 2,
            "eventTime": "2026-01-02T03:04:05.5Z", "sourceProperties": {"Pod_Name": "web-1"}}"#;
        let (message, _) =
            request::<v2::UpdateFindingRequest>(&Method::PATCH, &target, body).expect("a request");
        let finding = message.finding.expect("a finding");
        assert_eq!(finding.name, "organizations/1/sources/2/findings/3");
        assert_eq!(
            (finding.state(), finding.severity()),
            (v2::finding::State::Inactive, v2::finding::Severity::High)
        );
        assert_eq!(
            finding.event_time,
            Some(prost_types::Timestamp { seconds: 1_767_323_045, nanos: 500_000_000 })
        );
        assert!(finding.source_properties.contains_key("Pod_Name"));
        assert_eq!(message.update_mask.expect("a mask").paths, ["state", "eventTime"]);
    }

    #[test]
    fn a_key_in_a_mask_stays_as_it_is() {
        let target = format!("{FINDING}?updateMask=contacts.SECURITY,sourceProperties.Pod_Name");
        let (message, _) =
            request::<v2::UpdateFindingRequest>(&Method::PATCH, &target, "{}").expect("a request");
        let paths = message.update_mask.expect("a mask").paths;
        assert_eq!(paths, ["contacts.SECURITY", "sourceProperties.Pod_Name"]);
    }

    #[test]
    fn the_body_is_the_whole_message() {
        let expected = v2::SetFindingStateRequest {
            name: "organizations/1/sources/2/findings/3".to_owned(),
            state: v2::finding::State::Active as i32,
        };
        check(&Method::POST, &format!("{FINDING}:setState"), r#"{"state": "ACTIVE"}"#, &expected);
        check(&Method::POST, &format!("{FINDING}:setState"), r#"{"state": 1}"#, &expected);
    }

    #[test]
    fn what_every_google_api_knows_is_known() {
        let target = format!("{LIST}?$alt=json;enum-encoding=int&prettyPrint=true&key=x");
        let (_, style) = request::<v2::ListFindingsRequest>(&Method::GET, &target, "").expect("a request");
        assert_eq!(style, Style { enum_numbers: true, pretty: true });
    }

    #[test]
    fn what_the_message_has_no_field_for_is_refused() {
        refused(&Method::GET, &format!("{LIST}?fliter=x"), "", "fliter: this method has no such parameter");
        refused(
            &Method::GET,
            &format!("{LIST}?filter.x=y"),
            "",
            "filter.x: this method has no such parameter",
        );
        refused(&Method::GET, &format!("{LIST}?pageSize=many"), "", "pageSize: cannot be read as its type");
        refused(&Method::GET, &format!("{LIST}?pageSize=1&pageSize=2"), "", "pageSize: is given twice");
        refused(&Method::GET, &format!("{LIST}?parent=x"), "", "parent: this stands in the path already");
        refused(&Method::GET, &format!("{LIST}?access_token=x"), "", "send it in the header Authorization");
        refused(&Method::GET, &format!("{LIST}?filter=%FF"), "", "not percent-encoded UTF-8");
        refused(&Method::GET, LIST, "{}", "this method takes no body");
        let target = format!("{FINDING}:setState");
        refused(&Method::POST, &target, r#"{"stat": "ACTIVE"}"#, "unrecognized field name 'stat'");
        refused(&Method::POST, &target, r#"{"state": "OPEN"}"#, "unrecognized enum value 'OPEN'");
        refused(&Method::POST, &target, r#"{"state": "ACTIVE"} x"#, "trailing characters");
        refused(&Method::POST, &target, "{\"name\": \"\\ud800\"}", "the body cannot be read");
        refused(&Method::POST, &format!("{target}?state=ACTIVE"), "{}", "takes it in the body");
        let deep = format!(r#"{{"sourceProperties": {{"x": {}"#, "[".repeat(100_000));
        refused(&Method::PATCH, FINDING, &deep, "recursion limit");
    }

    proptest::proptest! {
        #[test]
        fn any_query_and_any_body_are_read_or_refused(query: String, body: Vec<u8>) {
            let Found::Route(route, bindings) = ROUTES.find(&Method::PATCH, FINDING) else { panic!("a route") };
            let _ = read(route, &bindings, &query, &body);
            let _ = read(route, &bindings, &query, b"{}");
        }
    }
}
