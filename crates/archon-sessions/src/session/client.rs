//! Who a client says it is, and which known product that means.

use super::printable;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Names and versions are shown and stored; nobody's is longer than this many characters.
const NAME_CHARS_MAX: usize = 128;
/// Stored capabilities are cut off here: beyond it they are dropped, not truncated.
const CAPABILITIES_BYTES_MAX: usize = 16 * 1024;

/// The client's own description: `clientInfo` and `capabilities` of a handshake, or of `_meta`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// `clientInfo.name`, at most 128 characters.
    pub name: Option<Box<str>>,
    /// `clientInfo.version`, at most 128 characters.
    pub version: Option<Box<str>>,
    /// The capabilities as JSON text, if they were an object of at most 16 KiB.
    pub capabilities: Option<Box<str>>,
}

impl ClientInfo {
    /// Reads a `clientInfo` object and a `capabilities` object. What is not readable is left out:
    /// a badly described client is still a client.
    pub fn read(info: Option<&str>, capabilities: Option<&str>) -> Self {
        #[derive(Deserialize, Default)]
        struct Info {
            #[serde(default)]
            name: Option<String>,
            #[serde(default)]
            version: Option<String>,
        }
        let info: Info = info.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let capabilities = capabilities
            .filter(|text| text.len() <= CAPABILITIES_BYTES_MAX && text.starts_with('{'))
            .map(Box::from);
        Self {
            name: info.name.and_then(shown),
            version: info.version.and_then(shown),
            capabilities,
        }
    }

    /// Reads the `params` of a legacy `initialize`.
    pub fn from_initialize(params: &str) -> Self {
        #[derive(Deserialize)]
        struct Initialize<'a> {
            #[serde(borrow, rename = "clientInfo")]
            info: Option<&'a RawValue>,
            #[serde(borrow)]
            capabilities: Option<&'a RawValue>,
        }
        match serde_json::from_str::<Initialize>(params) {
            Ok(read) => {
                Self::read(read.info.map(RawValue::get), read.capabilities.map(RawValue::get))
            }
            Err(_) => Self::default(),
        }
    }

    /// Returns the `client_type` of this client; see [`client_type`].
    pub fn kind(&self) -> &str {
        self.name.as_deref().map_or("unknown-client", client_type)
    }
}

fn shown(text: String) -> Option<Box<str>> {
    let text = printable(&text, NAME_CHARS_MAX);
    (!text.is_empty()).then(|| text.into())
}

/// Products by a part of the name they send, most specific first.
const PRODUCTS: &[(&str, &str)] = &[
    ("claude-code", "Claude Code"),
    ("claude code", "Claude Code"),
    ("claude-ai", "Claude Desktop"),
    ("claude desktop", "Claude Desktop"),
    ("cursor", "Cursor"),
    ("windsurf", "Windsurf"),
    ("cline", "Cline"),
    ("kiro", "KiRo"),
    ("augment", "Augment"),
    ("gemini", "Gemini"),
    ("visual studio code", "VS Code"),
    ("vscode", "VS Code"),
    ("vs code", "VS Code"),
    ("codex", "Codex"),
    ("zed", "Zed"),
    ("inspector", "Inspector"),
];

/// Returns the known product found in a client's name, else the name as sent.
///
/// ```
/// use archon_sessions::session::client_type;
/// assert_eq!(client_type("cursor-vscode"), "Cursor");
/// assert_eq!(client_type("my-agent"), "my-agent");
/// ```
pub fn client_type(name: &str) -> &str {
    let lower = name.to_lowercase();
    PRODUCTS
        .iter()
        .find(|(part, _)| match *part {
            // Three letters occur inside other words; a product's name is a word of its own.
            "zed" => lower.split(|c: char| !c.is_alphanumeric()).any(|word| word == "zed"),
            part => lower.contains(part),
        })
        .map_or(name, |(_, product)| *product)
}

/// Returns true if a client type is one of the known products.
pub fn is_product(client_type: &str) -> bool {
    PRODUCTS.iter().any(|(_, product)| *product == client_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_found_in_names() {
        for (name, product) in [
            ("claude-code", "Claude Code"),
            ("Visual Studio Code - Insiders", "VS Code"),
            ("codex-mcp-client", "Codex"),
            ("gemini-cli-mcp-client", "Gemini"),
            ("Zed", "Zed"),
            ("optimized-agent", "optimized-agent"),
            ("inspector-cli", "Inspector"),
        ] {
            assert_eq!(client_type(name), product, "{name}");
        }
    }

    #[test]
    fn a_hostile_description_is_cut_down_to_what_can_be_shown() {
        let name = format!(r#"{{"name":"a\u0000b{}","version":7}}"#, "x".repeat(5000));
        let client = ClientInfo::read(Some(&name), Some("[]"));
        // A version of the wrong type makes the description unreadable as a whole.
        assert_eq!(client, ClientInfo::default());
        let name = format!(r#"{{"name":"a\u0000\u202eb{}"}}"#, "x".repeat(5000));
        let client = ClientInfo::read(Some(&name), None);
        assert_eq!(client.name.as_deref().map(|name| name.chars().count()), Some(128));
        assert!(client.name.as_deref().is_some_and(|n| n.starts_with("abx")));
    }
}
