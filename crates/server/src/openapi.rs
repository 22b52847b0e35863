//! The document of the API in OpenAPI 3.1, for clients and testers that know nothing of Google's protocol.
//!
//! Owns: its shape. All that is in it is read from the protocol, by the same routes that requests take.
//! Refuses: methods that urva does not offer.

use crate::name::LOCATION;
use crate::rest::{Place, ROUTES, Route};
use crate::service;
use bytes::Bytes;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The document as a text, made when somebody asks for it the first time.
pub(crate) static TEXT: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from(document(&service::offered()).to_string()));

/// The document. `offered` are the names of the methods that are in it.
fn document(offered: &[String]) -> Value {
    let mut schemas = Schemas::default();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter().filter(|route| offered.iter().any(|name| name == route.method.name())) {
        let (path, parameters) = path_of(route);
        let operation = operation(route, parameters, &mut schemas);
        paths.entry(path).or_insert_with(|| json!({}))[route.verb.as_str().to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "urva",
            "summary": "The API of Security Command Center, version 2, as far as urva offers it",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas.all(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    })
}

/// The path with a parameter for each `*`, named as Google's own documents name them: `organizationsId`.
fn path_of(route: &Route) -> (String, Vec<Value>) {
    let mut path = String::new();
    let mut parameters = Vec::new();
    let mut collection = "";
    for place in route.template.places() {
        path.push('/');
        match place {
            Place::Literal(literal) => {
                path.push_str(literal);
                collection = literal;
            }
            Place::Any => {
                let name = format!("{collection}Id");
                path.push_str(&format!("{{{name}}}"));
                let schema = match collection {
                    "locations" => json!({"type": "string", "enum": [LOCATION]}),
                    _ => json!({"type": "string", "pattern": "^[A-Za-z0-9._:~-]+$", "maxLength": 128}),
                };
                parameters.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
            }
        }
    }
    if let Some(verb) = route.template.verb() {
        path.push(':');
        path.push_str(verb);
    }
    (path, parameters)
}

fn operation(route: &Route, mut parameters: Vec<Value>, schemas: &mut Schemas) -> Value {
    let input = route.method.input();
    let in_path: Vec<&str> = route.template.fields().filter_map(|field| field.split('.').next()).collect();
    let body = route.body_field();
    if !route.takes_whole_body() {
        let fields =
            input.fields().filter(|field| !in_path.contains(&field.name()) && body != Some(field.name()));
        parameters.extend(fields.filter_map(|field| query_parameter(&field)));
    }
    let answer = schemas.reference(&route.method.output());
    let error = json!({"$ref": "#/components/schemas/Error"});
    let mut operation = json!({
        "operationId": format!("{}_{}", route.method.name(), route.number),
        "tags": [route.method.name()],
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": answer}}},
            "default": {"description": "Refused", "content": {"application/json": {"schema": error}}},
        },
    });
    let body = match body {
        Some(field) => input.get_field_by_name(field).map(|field| schemas.of_field(&field)),
        None => route.takes_whole_body().then(|| schemas.reference(&input)),
    };
    if let Some(schema) = body {
        operation["requestBody"] = json!({"content": {"application/json": {"schema": schema}}});
    }
    operation
}

/// A field in the query; messages that are more than a text have no place there.
fn query_parameter(field: &FieldDescriptor) -> Option<Value> {
    let schema = match field.kind() {
        Kind::Message(message) => text_of(&message)?,
        kind => scalar(&kind),
    };
    let schema = if field.is_list() { json!({"type": "array", "items": schema}) } else { schema };
    Some(json!({"name": field.json_name(), "in": "query", "schema": schema}))
}

/// The schemas of messages, those that were asked for and those within them.
#[derive(Default)]
struct Schemas {
    known: BTreeSet<String>,
    schemas: Map<String, Value>,
}

impl Schemas {
    fn all(mut self) -> Value {
        let status = json!({
            "type": "object",
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "status": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object"}},
            },
            "required": ["code", "message", "status"],
        });
        let error = json!({"type": "object", "properties": {"error": status}, "required": ["error"]});
        self.schemas.insert("Error".to_owned(), error);
        Value::Object(self.schemas)
    }

    fn reference(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(schema) = text_of(message).or_else(|| free(message)) {
            return schema;
        }
        let name = message.full_name().to_owned();
        if self.known.insert(name.clone()) {
            let properties: Map<String, Value> =
                message.fields().map(|field| (field.json_name().to_owned(), self.of_field(&field))).collect();
            let schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
            self.schemas.insert(name.clone(), schema);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    fn of_field(&mut self, field: &FieldDescriptor) -> Value {
        let kind = field.kind();
        if field.is_map() {
            let value = kind.as_message().map(MessageDescriptor::map_entry_value_field);
            let values = value.map_or_else(|| json!({}), |value| self.of_field(&value));
            return json!({"type": "object", "additionalProperties": values});
        }
        let schema = match &kind {
            Kind::Message(message) => self.reference(message),
            kind => scalar(kind),
        };
        if field.is_list() { json!({"type": "array", "items": schema}) } else { schema }
    }
}

/// Messages that JSON writes as one text.
fn text_of(message: &MessageDescriptor) -> Option<Value> {
    match message.full_name() {
        "google.protobuf.Timestamp" => Some(json!({"type": "string", "format": "date-time"})),
        "google.protobuf.Duration" => {
            Some(json!({"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$"}))
        }
        "google.protobuf.FieldMask" => Some(json!({"type": "string"})),
        _ => None,
    }
}

/// Messages that JSON writes without a shape of their own.
fn free(message: &MessageDescriptor) -> Option<Value> {
    match message.full_name() {
        "google.protobuf.Struct" | "google.protobuf.Any" | "google.protobuf.Empty" => {
            Some(json!({"type": "object"}))
        }
        "google.protobuf.ListValue" => Some(json!({"type": "array"})),
        "google.protobuf.Value" => Some(json!({})),
        _ => None,
    }
}

fn scalar(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::String => json!({"type": "string"}),
        Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Kind::Float | Kind::Double => json!({"type": "number"}),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({"type": "integer", "format": "int32"}),
        Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
        // 64 bits are more than a number of JSON holds.
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
            json!({"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"})
        }
        Kind::Enum(names) => {
            let names: Vec<String> = names.values().map(|value| value.name().to_owned()).collect();
            json!({"type": "string", "enum": names})
        }
        Kind::Message(_) => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_that_is_offered_is_in_the_document_and_no_other() {
        let offered = service::offered();
        let document = document(&offered);
        let operations = document["paths"].as_object().expect("paths").values().flat_map(|path| {
            path.as_object()
                .into_iter()
                .flat_map(Map::values)
                .filter_map(|operation| operation["tags"][0].as_str())
        });
        let documented: BTreeSet<&str> = operations.collect();
        // REST has no way to wait.
        let expected: BTreeSet<&str> =
            offered.iter().map(String::as_str).filter(|name| *name != "WaitOperation").collect();
        assert_eq!(documented, expected);
        let list =
            &document["paths"]["/v2/organizations/{organizationsId}/sources/{sourcesId}/findings"]["get"];
        let names: Vec<&str> = list["parameters"]
            .as_array()
            .expect("parameters")
            .iter()
            .filter_map(|one| one["name"].as_str())
            .collect();
        let expected =
            ["organizationsId", "sourcesId", "filter", "orderBy", "fieldMask", "pageToken", "pageSize"];
        assert_eq!(names, expected);
    }

    #[test]
    fn each_reference_leads_somewhere() {
        let document = document(&service::offered());
        let text = document.to_string();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().expect("a name");
            assert!(document["components"]["schemas"].get(name).is_some(), "{name} is missing");
        }
    }
}
