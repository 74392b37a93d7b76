//! Who sends a request, as whoever authenticated it says.

use std::sync::Arc;

use super::Principal;

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
}

impl From<Principal> for Identity {
    fn from(principal: Principal) -> Self {
        Self { principal, user: None }
    }
}
