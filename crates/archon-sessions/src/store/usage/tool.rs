//! Under which name a tool's sums are kept: two upstreams may have tools of the same name, and these are two.

use super::{shortened, writable};

/// Stands between the upstream's name, which is set by an operator, and the tool's. Sums from before upstreams were
/// kept have none.
const SEPARATOR: char = '\t';

/// A tool of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ToolName {
    /// The upstream; empty if it is not known.
    pub upstream: String,
    /// The tool, as clients call it. Empty: requests that call none.
    pub tool: String,
}

impl ToolName {
    /// Returns the name of its sums; empty for requests that call no tool.
    pub(crate) fn key(upstream: &str, tool: &str) -> String {
        let (upstream, tool) = (shortened(upstream), shortened(tool));
        match (upstream.is_empty(), tool.is_empty()) {
            (_, true) => String::new(),
            (true, false) => writable(tool),
            (false, false) => {
                let upstream = writable(upstream).replace(SEPARATOR, " ");
                format!("{upstream}{SEPARATOR}{}", writable(tool))
            }
        }
    }

    /// Returns the tool of a name of sums.
    pub(crate) fn of_key(key: &str) -> Self {
        let (upstream, tool) = key.split_once(SEPARATOR).unwrap_or(("", key));
        Self { upstream: upstream.to_owned(), tool: tool.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_again_under_the_name_of_its_sums() {
        for (upstream, tool) in [("demo", "echo"), ("a", "b\tc"), ("", "echo"), ("", "")] {
            let found = ToolName::of_key(&ToolName::key(upstream, tool));
            assert_eq!((&*found.upstream, &*found.tool), (upstream, tool));
        }
        assert_eq!(ToolName::key("demo", ""), "", "requests that call no tool are added up");
        assert_ne!(ToolName::key("one", "search"), ToolName::key("two", "search"));
    }
}
