//! ProtoJSON of messages: how the store keeps them, and how they are written back.
//!
//! Refuses: a second mapping. All goes through the protocol's descriptors.

use crate::protocol::POOL;
use crate::refusal::Refusal;
use prost::{Message, Name};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::Value;

/// The descriptor of a message of the protocol.
pub(crate) fn descriptor<M: Name>() -> Result<MessageDescriptor, Refusal> {
    POOL.get_message_by_name(&M::full_name()).ok_or_else(|| {
        tracing::error!("the protocol has no {}", M::full_name());
        Refusal::Internal
    })
}

/// The message as JSON. gRPC has values that JSON cannot write, such as a number that is none in a list of any values, or a time
/// after the year 9999; they are refused.
pub(crate) fn from_message<M: Message + Name>(message: &M) -> Result<Value, Refusal> {
    let message = DynamicMessage::decode(descriptor::<M>()?, message.encode_to_vec().as_slice());
    let message = message.map_err(|error| {
        tracing::error!("a {} cannot be read back: {error}", M::full_name());
        Refusal::Internal
    })?;
    serde_json::to_value(message).map_err(|error| {
        Refusal::malformed("", format!("the {} has a value that JSON cannot write: {error}", M::NAME))
    })
}

/// The message that a JSON stands for, or why it stands for none. What the protocol does not know any more is left out.
pub(crate) fn read<M: Message + Name + Default>(json: &Value) -> Result<M, String> {
    let descriptor = descriptor::<M>().map_err(|error| error.to_string())?;
    let options = prost_reflect::DeserializeOptions::new().deny_unknown_fields(false);
    let message = DynamicMessage::deserialize_with_options(descriptor, json, &options);
    let bytes = message.map_err(|error| error.to_string())?.encode_to_vec();
    M::decode(bytes.as_slice()).map_err(|error| error.to_string())
}

/// The same of what the store has.
pub(crate) fn to_message<M: Message + Name + Default>(json: &Value) -> Result<M, Refusal> {
    read(json).map_err(|error| {
        tracing::error!("a {} of the store cannot be read: {error}", M::full_name());
        Refusal::Internal
    })
}

/// A value of any type, as `google.protobuf.Value` carries it.
pub(crate) fn to_value(json: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match json {
        Value::Null => Kind::NullValue(0),
        Value::Bool(truth) => Kind::BoolValue(*truth),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => {
            Kind::ListValue(prost_types::ListValue { values: items.iter().map(to_value).collect() })
        }
        Value::Object(members) => {
            let fields = members.iter().map(|(name, value)| (name.clone(), to_value(value))).collect();
            Kind::StructValue(prost_types::Struct { fields })
        }
    };
    prost_types::Value { kind: Some(kind) }
}

/// A time as the protocol carries it.
pub fn timestamp(time: evidence::Timestamp) -> prost_types::Timestamp {
    const SECOND: u64 = 1_000_000_000;
    prost_types::Timestamp {
        seconds: i64::try_from(time.0 / SECOND).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.0 % SECOND).unwrap_or(0),
    }
}
