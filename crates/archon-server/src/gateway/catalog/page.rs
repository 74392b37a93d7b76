//! A page of `tools/list`: what it says, and where in its bytes more tools can be added. Pure.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::mirrors::{self, Mirror};

/// A page, as far as we read it.
#[derive(Debug)]
pub struct Page {
    /// Its tools; what has no readable name is left out.
    pub tools: Vec<Tool>,
    /// Where the next page begins, as the JSON text that the server wrote; `None` on the last page.
    pub next: Option<String>,
    /// Where the array of tools ends: its closing bracket.
    end: usize,
    has_entries: bool,
}

/// What a page says of a tool.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub facts: Facts,
}

/// What is known of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether the server says that it only reads or is idempotent (MCP 2025-11-25, Schema, ToolAnnotations).
    pub is_repeatable: bool,
    /// Arguments that headers mirror.
    pub mirrors: Vec<Mirror>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    result: Listed<'a>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    tools: &'a RawValue,
    #[serde(borrow, rename = "nextCursor")]
    next: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow, rename = "inputSchema", default)]
    input_schema: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Annotations {
    #[serde(rename = "readOnlyHint", default)]
    is_read_only: Option<bool>,
    #[serde(rename = "idempotentHint", default)]
    is_idempotent: Option<bool>,
}

impl Page {
    /// Reads an answer to `tools/list`, a JSON text; `None` if it is an error or something else.
    pub fn read(json: &[u8]) -> Option<Self> {
        let Message { result } = serde_json::from_slice(json).ok()?;
        let text = result.tools.get();
        let entries: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        let start = text.as_ptr() as usize - json.as_ptr() as usize;
        // SDK clients take an empty cursor for none.
        let next = result.next.map(RawValue::get).filter(|next| !matches!(*next, "null" | "\"\""));
        Some(Self {
            tools: entries.iter().filter_map(|entry| Tool::read(entry.get())).collect(),
            next: next.map(str::to_owned),
            end: start + text.len() - 1,
            has_entries: !entries.is_empty(),
        })
    }

    /// Returns the names of its tools.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.tools.iter().map(|tool| tool.name.as_str())
    }

    /// Returns the JSON text that was read with these tools, each JSON text, at the end of its list.
    pub fn with(&self, json: &[u8], tools: &[String]) -> Vec<u8> {
        let mut added = tools.join(",");
        if self.has_entries {
            added.insert(0, ',');
        }
        let mut bytes = Vec::with_capacity(json.len() + added.len());
        bytes.extend_from_slice(&json[..self.end]);
        bytes.extend_from_slice(added.as_bytes());
        bytes.extend_from_slice(&json[self.end..]);
        bytes
    }
}

impl Tool {
    fn read(json: &str) -> Option<Self> {
        let entry: Entry<'_> = serde_json::from_str(json).ok()?;
        let annotations = entry.annotations.and_then(|json| serde_json::from_str(json.get()).ok());
        let Annotations { is_read_only, is_idempotent } = annotations.unwrap_or_default();
        let facts = Facts {
            is_repeatable: is_read_only == Some(true) || is_idempotent == Some(true),
            mirrors: entry
                .input_schema
                .map_or_else(Vec::new, |json| mirrors::of_schema(json.get())),
        };
        Some(Self { name: entry.name.into_owned(), facts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(json: &str) -> Option<String> {
        let page = Page::read(json.as_bytes())?;
        Some(String::from_utf8(page.with(json.as_bytes(), &[r#"{"name":"z"}"#.into()])).unwrap())
    }

    #[test]
    fn tools_are_added_and_the_rest_stays_as_it_was() {
        let page = r#"{ "id":1, "result":{"tools":[ {"name":"a","x":1.0} ],"ttlMs":5}}"#;
        assert_eq!(with(page).unwrap(), page.replace("} ]", r#"} ,{"name":"z"}]"#));
        let empty = r#"{"id":1,"result":{"tools":[]}}"#;
        assert_eq!(with(empty).unwrap(), r#"{"id":1,"result":{"tools":[{"name":"z"}]}}"#);
        for other in [
            r#"{"id":1,"error":{"code":-32601,"message":"no"}}"#,
            r#"{"id":1,"result":null}"#,
            r#"{"id":1,"result":{"tools":{}}}"#,
            "",
        ] {
            assert_eq!(with(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_odd_in_a_page_costs_no_more_than_itself() {
        let odd = r#"{"id":1,"result":{"nextCursor":7,"tools":[{"name":"a","annotations":"yes"},{"title":"b"},3,
            {"name":"c","annotations":{"readOnlyHint":true},"inputSchema":[]}]}}"#;
        let page = Page::read(odd.as_bytes()).unwrap();
        assert_eq!(page.next.as_deref(), Some("7"));
        assert_eq!(page.names().collect::<Vec<_>>(), ["a", "c"]);
        assert!(!page.tools[0].facts.is_repeatable && page.tools[1].facts.is_repeatable);
        for last in ["null", "\"\""] {
            let last = format!(r#"{{"result":{{"tools":[],"nextCursor":{last}}}}}"#);
            assert_eq!(Page::read(last.as_bytes()).unwrap().next, None, "{last}");
        }
    }
}
