//! How long a session may be silent: what its client asks for, else what a rule says, else the default.

use std::time::Duration;

use super::{ClientInfo, Principal, User};

/// A timeout for some clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutRule {
    /// Clients whose name, as sent or as the known product's, matches; `None` for all.
    pub client: Option<Pattern>,
    /// Principals whose stored form (`issuer#subject`, or `anonymous`) matches; `None` for all.
    pub principal: Option<Pattern>,
    /// Users whose id or address matches; `None` for all.
    pub user: Option<Pattern>,
    /// How long their sessions may be silent.
    pub idle_timeout: Duration,
}

impl TimeoutRule {
    fn applies(&self, client: &ClientInfo, principal: &Principal, user: Option<&User>) -> bool {
        let is_client = |pattern: &Pattern| {
            pattern.matches(client.kind())
                || client.name.as_deref().is_some_and(|n| pattern.matches(n))
        };
        let is_principal = |pattern: &Pattern| pattern.matches(&principal.to_string());
        let is_user = |pattern: &Pattern| {
            let known = user.map(|user| [&user.id, &user.email]).into_iter().flatten();
            known.flatten().any(|text| pattern.matches(text))
        };
        self.client.as_ref().is_none_or(is_client)
            && self.principal.as_ref().is_none_or(is_principal)
            && self.user.as_ref().is_none_or(is_user)
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
    user: Option<&User>,
) -> Duration {
    let by_rule = || rules.iter().find(|rule| rule.applies(client, principal, user));
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
        let rule = |client: Option<&str>, principal: Option<&str>, user: Option<&str>, timeout| {
            TimeoutRule {
                client: client.map(Pattern::new),
                principal: principal.map(Pattern::new),
                user: user.map(Pattern::new),
                idle_timeout: seconds(timeout),
            }
        };
        let rules = [
            rule(Some("Claude Code"), Some("*#ada"), None, 10),
            rule(Some("claude*"), None, None, 20),
            rule(None, Some("anonymous"), None, 30),
            rule(None, None, Some("*@example.com"), 40),
        ];
        let ada =
            Principal::Identified { issuer: "https://id.example".into(), subject: "ada".into() };
        let user = User::known(Some("ada".into()), Some("Ada@Example.com".into()), None);
        let user = user.as_deref();
        let named = |name: &str| ClientInfo { name: Some(name.into()), ..ClientInfo::default() };
        let table = [
            ("claude-code", &ada, user, None, 10),
            ("claude-code", &Principal::Anonymous, None, None, 20),
            ("zed", &Principal::Anonymous, None, None, 30),
            ("zed", &ada, None, None, 300),
            ("zed", &ada, user, None, 40),
            ("claude-code", &ada, user, Some(seconds(7)), 7),
        ];
        for (name, principal, user, asked, expected) in table {
            let found = idle_timeout(&rules, seconds(300), asked, &named(name), principal, user);
            assert_eq!(found, seconds(expected), "{name} {principal}");
        }
    }
}
