//! How long a session may be silent: what its client asks for, else what a rule says, else the default.

use std::time::Duration;

use super::{ClientInfo, Principal};

/// A timeout for some clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutRule {
    /// Clients whose name, as sent or as the known product's, matches; `None` for all.
    pub client: Option<Pattern>,
    /// Principals whose stored form (`issuer#subject`, or `anonymous`) matches; `None` for all.
    pub principal: Option<Pattern>,
    /// How long their sessions may be silent.
    pub idle_timeout: Duration,
}

impl TimeoutRule {
    fn applies(&self, client: &ClientInfo, principal: &Principal) -> bool {
        let is_client = |pattern: &Pattern| {
            pattern.matches(client.kind())
                || client.name.as_deref().is_some_and(|n| pattern.matches(n))
        };
        self.client.as_ref().is_none_or(is_client)
            && self.principal.as_ref().is_none_or(|pattern| pattern.matches(&principal.to_string()))
    }
}

/// Returns how long a new session may be silent. `asked` is what its client asked for; the first rule that
/// applies counts.
pub fn idle_timeout(
    rules: &[TimeoutRule],
    standard: Duration,
    asked: Option<Duration>,
    client: &ClientInfo,
    principal: &Principal,
) -> Duration {
    let by_rule = || rules.iter().find(|rule| rule.applies(client, principal));
    asked.or_else(|| by_rule().map(|rule| rule.idle_timeout)).unwrap_or(standard)
}

/// A text in which each `*` stands for any characters; case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Returns the pattern of this text.
    pub fn new(text: &str) -> Self {
        Self(text.to_lowercase().into())
    }

    /// Returns true if the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, expected) in [
            ("Cursor", "cursor", true),
            ("cursor", "cursor-vscode", false),
            ("cursor*", "Cursor-VSCode", true),
            ("*code*", "Claude Code 2", true),
            ("a*b*a", "ab-a", true),
            ("a*ba", "aba", true),
            ("a*aba", "aba", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("", "x", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_the_client_asks_for_comes_before_a_rule_and_a_rule_before_the_default() {
        let seconds = Duration::from_secs;
        let rule = |client: Option<&str>, principal: Option<&str>, timeout| TimeoutRule {
            client: client.map(Pattern::new),
            principal: principal.map(Pattern::new),
            idle_timeout: seconds(timeout),
        };
        let rules = [
            rule(Some("Claude Code"), Some("*#ada"), 10),
            rule(Some("claude*"), None, 20),
            rule(None, Some("anonymous"), 30),
        ];
        let ada =
            Principal::Identified { issuer: "https://id.example".into(), subject: "ada".into() };
        let named = |name: &str| ClientInfo { name: Some(name.into()), ..ClientInfo::default() };
        let table = [
            ("claude-code", &ada, None, 10),
            ("claude-code", &Principal::Anonymous, None, 20),
            ("zed", &Principal::Anonymous, None, 30),
            ("zed", &ada, None, 300),
            ("claude-code", &ada, Some(seconds(7)), 7),
        ];
        for (name, principal, asked, expected) in table {
            let found = idle_timeout(&rules, seconds(300), asked, &named(name), principal);
            assert_eq!(found, seconds(expected), "{name} {principal}");
        }
    }
}
