//! Who sends a request, as whoever authenticated it says.

use std::sync::Arc;

use super::{Principal, is_printable};

/// Characters of each part of a user that are kept: addresses have 254 at most.
const PART_CHARS_MAX: usize = 256;

/// An authenticated party, put into a request's extensions by whoever checked it. A request without one is
/// anonymous.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// What sessions and handles are bound to.
    pub principal: Principal,
    /// What else is known of it; shared by the requests of one token.
    pub user: Option<Arc<User>>,
}

/// Who a principal is to people. Nothing is decided by it but an idle timeout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The subject, as its issuer names it.
    pub id: Option<Box<str>>,
    /// An address.
    pub email: Option<Box<str>>,
    /// A name.
    pub name: Option<Box<str>>,
}

impl User {
    /// Returns what is known, if anything is.
    pub fn known(
        id: Option<Box<str>>,
        email: Option<Box<str>>,
        name: Option<Box<str>>,
    ) -> Option<Arc<Self>> {
        let is_known = id.is_some() || email.is_some() || name.is_some();
        is_known.then(|| Arc::new(Self { id, email, name }))
    }

    /// Returns the same with texts that can be stored and shown: at most 256 characters each, all of them
    /// printable. `None` if nothing is left.
    pub fn bounded(self) -> Option<Arc<Self>> {
        let part = |text: Option<Box<str>>| {
            let text = text?;
            let text = text.chars().filter(|c| is_printable(*c)).take(PART_CHARS_MAX);
            let text: String = text.collect();
            let text = text.trim();
            (!text.is_empty()).then(|| Box::from(text))
        };
        Self::known(part(self.id), part(self.email), part(self.name))
    }
}

impl From<&str> for User {
    /// Returns the user of this id.
    fn from(id: &str) -> Self {
        Self { id: Some(id.into()), ..Self::default() }
    }
}

impl From<Principal> for Identity {
    fn from(principal: Principal) -> Self {
        Self { principal, user: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_texts_are_cut_down_to_what_can_be_shown() {
        let (name, email) = (Some("a\u{0}b".repeat(300).into()), Some(" \n".into()));
        let user = User { name, email, ..User::from(" ada ") }.bounded().unwrap();
        assert_eq!(user.id.as_deref(), Some("ada"));
        assert_eq!(user.email, None);
        assert_eq!(user.name.as_deref().map(|name| name.chars().count()), Some(PART_CHARS_MAX));
        assert_eq!(User::from("\u{7}").bounded(), None);
    }
}
