//! Reads chosen keys of a JSON object, and refuses what two readers could read in two ways.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object with more keys than this is compared by hash instead of one by one.
const LINEAR_KEYS_MAX: usize = 16;

/// Returns the raw values of the keys `known`, in that order.
///
/// # Errors
/// If `json` is no object, is not valid JSON, has any key twice, or has a key that equals a known one
/// but for case: a filter in front and a server behind must see the same message (GHSA-4gph-2hhr-5mwg).
pub fn read<'a, const N: usize>(
    json: &'a str,
    known: &[&str; N],
) -> Result<[Option<&'a RawValue>; N], serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let found = deserializer.deserialize_map(Keys { known })?;
    deserializer.end()?;
    Ok(found)
}

/// Refuses an object that has a key twice; accepts anything that is not an object.
///
/// # Errors
/// As [`read`].
pub fn check_keys(json: &str) -> Result<(), serde_json::Error> {
    if json.trim_start().starts_with('{') { read::<0>(json, &[]).map(|_| ()) } else { Ok(()) }
}

struct Keys<'k, const N: usize> {
    known: &'k [&'k str; N],
}

impl<'de, const N: usize> Visitor<'de> for Keys<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        let mut seen = Seen::default();
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            match self.known.iter().position(|known| known.eq_ignore_ascii_case(&key)) {
                Some(i) if self.known[i] != key => {
                    return Err(A::Error::custom(format_args!(
                        "key differs from `{}` only in case",
                        self.known[i]
                    )));
                }
                Some(i) if found[i].is_some() => {
                    return Err(A::Error::custom(format_args!(
                        "duplicate key `{}`",
                        self.known[i]
                    )));
                }
                Some(i) => found[i] = Some(map.next_value::<&RawValue>()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                    if !seen.insert(key) {
                        return Err(A::Error::custom("duplicate key"));
                    }
                }
            }
        }
        Ok(found)
    }
}

/// A key, borrowed where it holds no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Str;
        impl<'de> Visitor<'de> for Str {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Str)
    }
}

#[derive(Default)]
struct Seen<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Seen<'a> {
    /// Returns false if the key was there already.
    fn insert(&mut self, key: Cow<'a, str>) -> bool {
        if self.many.is_empty() && self.few.len() < LINEAR_KEYS_MAX {
            let is_new = !self.few.contains(&key);
            self.few.push(key);
            return is_new;
        }
        self.many.extend(self.few.drain(..));
        self.many.insert(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_are_found_and_ambiguity_is_refused() {
        let found = read(r#"{"b":1,"x":[2],"a":"q"}"#, &["a", "b", "c"]).unwrap();
        assert_eq!(found.map(|v| v.map(RawValue::get)), [Some(r#""q""#), Some("1"), None]);
        for bad in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"A":1}"#,
            r#"{"x":1,"x":2}"#,
            r#"{"a":1"#,
            r#"{"a":1} {}"#,
            "[]",
            "7",
        ] {
            assert!(read(bad, &["a"]).is_err(), "{bad}");
        }
    }

    #[test]
    fn many_keys_are_compared_too() {
        let keys = |last: &str| {
            let body: String = (0..100).map(|i| format!(r#""k{i}":0,"#)).collect();
            format!(r#"{{{body}"{last}":0}}"#)
        };
        assert!(check_keys(&keys("k100")).is_ok());
        assert!(check_keys(&keys("k7")).is_err());
        assert!(check_keys("[1,1]").is_ok());
    }
}
