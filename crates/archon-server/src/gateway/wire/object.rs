//! A JSON object as its members, each value the very text that was sent: members are added and taken out, and
//! the others stay as they were.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object<'a> {
    /// Names, and values as JSON text.
    members: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Object<'a> {
    /// Reads an object; `None` if the text is none.
    pub fn read(json: &'a str) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let members = deserializer.deserialize_map(Members).ok()?;
        deserializer.end().ok()?;
        Some(Self { members })
    }

    /// Returns a member's value as JSON text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Returns a member's value if it is a string.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// Returns the members: names, and values as JSON text.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Sets a member to this JSON text: where it was, or else at the end.
    pub fn set(&mut self, name: &'static str, json: impl Into<Cow<'a, str>>) {
        match self.members.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => *value = json.into(),
            None => self.members.push((name.into(), json.into())),
        }
    }

    /// Adds a member.
    pub fn add(&mut self, name: impl Into<Cow<'a, str>>, json: impl Into<Cow<'a, str>>) {
        self.members.push((name.into(), json.into()));
    }

    /// Takes members out.
    pub fn remove(&mut self, is_out: impl Fn(&str) -> bool) {
        self.members.retain(|(name, _)| !is_out(name));
    }
}

impl fmt::Display for Object<'_> {
    /// Writes it as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (place, (name, value)) in self.members.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{}:{value}", text(name))?;
        }
        f.write_str("}")
    }
}

/// Returns a text as JSON.
pub fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, Cow<'de, str>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            members.push((Cow::Owned(name), Cow::Borrowed(value.get())));
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_as_they_were() {
        let mut object = Object::read(r#" {"a": 50.0, "b\"" : [1 ,2], "c":{"x" :1}} "#).unwrap();
        object.set("a", "7");
        object.set("d", "null");
        object.remove(|name| name == "c");
        assert_eq!(object.to_string(), r#"{"a":7,"b\"":[1 ,2],"d":null}"#);
        assert_eq!(object.get("b\""), Some("[1 ,2]"));
        assert_eq!(Object::default().to_string(), "{}");
    }

    #[test]
    fn what_is_no_object_is_none() {
        for json in ["", "7", "[]", "{", "{} {}", r#"{"a"}"#] {
            assert_eq!(Object::read(json), None, "{json}");
        }
    }
}
