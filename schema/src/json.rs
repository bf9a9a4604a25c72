//! Results as JSON.
//!
//! A list of which all is at hand is written where it is resolved ([`crate::plain`]), and
//! travels on in its place among the values as what async-graphql calls a binary one. No type
//! here has such values of its own, and requests cannot bring any: JSON has none.

use async_graphql::{Response, Value};
use serde::Serialize;

/// JSON that is written already, as a value.
pub(crate) fn written(json: Vec<u8>) -> Value {
    Value::Binary(json.into())
}

/// A result as JSON, `data` and all.
pub(crate) fn result(response: &Response) -> String {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"data\":");
    write(&mut out, &response.data);
    if !response.errors.is_empty() {
        out.extend_from_slice(b",\"errors\":");
        write_plain(&mut out, &response.errors);
    }
    if !response.extensions.is_empty() {
        out.extend_from_slice(b",\"extensions\":");
        write_plain(&mut out, &response.extensions);
    }
    out.push(b'}');
    String::from_utf8(out).expect("JSON is written as UTF-8")
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Number(number) => write_plain(out, number),
        Value::String(text) => write_plain(out, text),
        Value::Boolean(is_true) => write_plain(out, is_true),
        Value::Binary(written) => out.extend_from_slice(written),
        Value::Enum(name) => write_plain(out, name.as_str()),
        Value::List(items) => write_between(out, b'[', b']', items, write),
        Value::Object(fields) => write_between(out, b'{', b'}', fields, |out, (key, value)| {
            write_plain(out, key.as_str());
            out.push(b':');
            write(out, value);
        }),
    }
}

/// Writes each item, with commas between them.
pub(crate) fn write_between<T>(
    out: &mut Vec<u8>,
    open: u8,
    close: u8,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(open);
    let mut first = true;
    for item in items {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(close);
}

/// Writes what holds nothing that is written already.
///
/// # Panics
/// When it has no form in JSON, which all that is written here has.
pub(crate) fn write_plain<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("texts, numbers and errors have a form in JSON");
}

#[cfg(test)]
mod tests {
    use async_graphql::{ServerError, value};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_is_written_as_serde_would() {
        let data = value!({
            "text": "\"quoted\"\n\u{1} and 💬", "none": null, "list": [1, -2.5, true, []], "object": {}
        });
        let plain = Response::new(data.clone());
        assert_eq!(result(&plain), serde_json::to_string(&plain).expect("JSON"));
        let mut failed = Response::new(data);
        failed.errors.push(ServerError::new("no", None));
        let read: serde_json::Value = serde_json::from_str(&result(&failed)).expect("JSON");
        assert_eq!(read["errors"], json!([{ "message": "no" }]));
    }

    #[test]
    fn what_is_written_already_is_taken_as_it_is() {
        let mut data = async_graphql::indexmap::IndexMap::new();
        data.insert(async_graphql::Name::new("a"), written(b"[1,2]".to_vec()));
        let response = Response::new(Value::Object(data));
        assert_eq!(result(&response), r#"{"data":{"a":[1,2]}}"#);
    }
}
