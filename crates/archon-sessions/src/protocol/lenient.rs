//! What clients write beyond JSON-RPC 2.0, and the message that they mean.
//!
//! Serializers that know no absent members write `"params": null` and `"error": null`; languages with one type of
//! number write the id 1 as `1.0`; some editors begin a text with a byte order mark. Servers differ in which of
//! these they accept, so a server behind us gets the message without them.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::envelope::ID_BYTES_MAX;

/// The largest integer that every reader of JSON has exactly (RFC 8259, 6).
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// Returns the body without a byte order mark.
pub(super) fn without_mark(mut body: Bytes) -> Bytes {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    if body.starts_with(MARK) {
        drop(body.split_to(MARK.len()));
    }
    body
}

/// Returns true if this member says nothing.
pub(super) fn says_nothing(member: &RawValue) -> bool {
    member.get() == "null"
}

/// Returns true if these are the parameters of a request that has none: `null`, or an empty list.
pub(super) fn are_none(params: &RawValue) -> bool {
    let list = params.get().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    says_nothing(params) || list.is_some_and(|items| items.trim().is_empty())
}

/// Returns the integer that a number in another notation is: 1 for `1.0` and for `1e0`.
pub(super) fn integer(number: &str) -> Option<String> {
    if !number.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return None;
    }
    let value: f64 = number.parse().ok()?;
    // `-0.0` is 0 as well.
    (value.fract() == 0.0 && value.abs() <= EXACT_MAX).then(|| format!("{:.0}", value + 0.0))
}

/// Returns the body with its messages as JSON-RPC 2.0 writes them; `None` if it holds none.
pub(super) fn strict(body: &Bytes) -> Option<Bytes> {
    let json = std::str::from_utf8(body).ok()?;
    if !json.trim_start().starts_with('[') {
        return strict_message(json).map(Bytes::from);
    }
    let messages: Vec<&RawValue> = serde_json::from_str(json).ok()?;
    let messages: Option<Vec<String>> =
        messages.iter().map(|message| strict_message(message.get())).collect();
    Some(Bytes::from(format!("[{}]", messages?.join(","))))
}

fn strict_message(json: &str) -> Option<String> {
    let Members(members) = serde_json::from_str(json).ok()?;
    let says = |name: &str| members.iter().any(|(key, value)| key == name && !says_nothing(value));
    let (is_request, is_error) = (says("method"), says("error"));
    let mut text = String::with_capacity(json.len());
    for (key, value) in &members {
        let is_left_out = match &**key {
            "params" => are_none(value),
            "method" | "error" => says_nothing(value),
            // An answer may be null; a request has none, and an error stands in its place.
            "result" => says_nothing(value) && (is_request || is_error),
            "id" => says_nothing(value) && is_request,
            _ => false,
        };
        if is_left_out {
            continue;
        }
        text.push(if text.is_empty() { '{' } else { ',' });
        text.push_str(&serde_json::to_string(key).ok()?);
        text.push(':');
        match integer(value.get()).filter(|_| key == "id") {
            Some(id) => text.push_str(&id),
            None => text.push_str(value.get()),
        }
    }
    text.push_str(if text.is_empty() { "{}" } else { "}" });
    Some(text)
}

/// The members of an object, in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(4);
                while let Some(member) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(member.0), member.1));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Returns the id, as JSON text, of the request that a refused body holds, as far as it can be read: an error
/// that carries it ends the call at the client, and one without it leaves the call waiting.
pub(super) fn id_of(body: &[u8]) -> Option<String> {
    let mut found = Found::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    // What is broken behind the id does not matter.
    let _ = deserializer.deserialize_map(&mut found);
    found.id.filter(|_| found.is_request && !found.is_unclear)
}

#[derive(Default)]
struct Found {
    id: Option<String>,
    is_request: bool,
    /// Two ids, or the form of an answer: an error for its id would end another call.
    is_unclear: bool,
}

impl<'de> Visitor<'de> for &mut Found {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                "id" => {
                    self.is_unclear |= self.id.is_some();
                    let id = map.next_value::<&RawValue>()?.get();
                    self.id = is_id(id).then(|| id.to_owned());
                }
                "method" => {
                    self.is_request = true;
                    map.next_value::<IgnoredAny>()?;
                }
                "result" | "error" => {
                    self.is_unclear |= !says_nothing(map.next_value::<&RawValue>()?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A string or a number that can be repeated in an answer.
fn is_id(json: &str) -> bool {
    let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    json.len() <= ID_BYTES_MAX && (is_number || json.starts_with('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(json: &str) -> String {
        let body = strict(&Bytes::copy_from_slice(json.as_bytes())).unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn members_that_say_nothing_are_left_out_and_the_rest_stays() {
        for (loose, meant) in [
            (
                r#"{"jsonrpc":"2.0", "id":1, "method":"ping", "params":null}"#,
                r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            ),
            (
                r#"{"id":1.0,"method":"x","params":[ ],"result":null,"error":null,"n":1.0}"#,
                r#"{"id":1,"method":"x","n":1.0}"#,
            ),
            (
                r#"{"id":null,"method":"notifications/initialized"}"#,
                r#"{"method":"notifications/initialized"}"#,
            ),
            (r#"{"id":1,"method":null,"result":null}"#, r#"{"id":1,"result":null}"#),
            (r#"{"id":1,"result":null,"error":{"code":1}}"#, r#"{"id":1,"error":{"code":1}}"#),
            (r#"[{"id":1,"params":null},{"id":"1.0"}]"#, r#"[{"id":1},{"id":"1.0"}]"#),
            (r#"{"params":null}"#, "{}"),
        ] {
            assert_eq!(rewritten(loose), meant);
        }
    }

    #[test]
    fn an_integer_is_one_in_any_notation() {
        for (number, value) in [("1.0", "1"), ("1e2", "100"), ("-3.00", "-3"), ("-0.0", "0")] {
            assert_eq!(integer(number).as_deref(), Some(value));
        }
        for other in ["1.5", "1e300", "nan", "inf", "\"1\"", "{}", ""] {
            assert_eq!(integer(other), None, "{other}");
        }
    }

    #[test]
    fn the_id_of_a_refused_request_is_found_where_it_can_be() {
        let deep = format!(r#"{{"id":"a","method":"x","params":{}"#, "[".repeat(500));
        for (body, id) in [
            (r#"{"jsonrpc":"1.0","id":7,"method":"x"}"#, Some("7")),
            (r#"{"id":1.5,"method":"x"}"#, Some("1.5")),
            (r#"{"method":"x","id":3,"params":{"cut"#, Some("3")),
            (&deep, Some("\"a\"")),
            (r#"{"id":1,"params":{"cut"#, None),
            (r#"{"id":1,"id":2,"method":"x"}"#, None),
            (r#"{"id":1,"method":"x","result":{}}"#, None),
            (r#"{"id":1,"result":{}}"#, None),
            (r#"{"id":{},"method":"x"}"#, None),
            (r#"{"id":null,"method":"x"}"#, None),
            (r#"[{"id":1,"method":"x"}]"#, None),
            ("", None),
        ] {
            assert_eq!(id_of(body.as_bytes()).as_deref(), id, "{body}");
        }
        assert_eq!(id_of(b"{\"id\":1,\"method\":\"\xff\",\"x\":\"\xff").as_deref(), Some("1"));
    }
}
