//! The two ids of a dual session, as two types.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Returns a new id: 122 random bits from the operating system's generator.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// Returns the id of these bits, as a store keeps them.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Returns its bits.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            /// Parses the hyphenated form, the only one we issue.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

random_id! {
    /// Names a session: `X-Archon-Session-Id`, the primary key of `archon_mcp_sessions`.
    SessionId
}

random_id! {
    /// Names a connection: the value of `Mcp-Session-Id` that we gave a legacy client
    /// (MCP 2025-11-25, Transports, Session Management).
    McpSessionId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = SessionId::random();
        assert_eq!(id.to_string().parse::<SessionId>().unwrap(), id);
        assert!("not-an-id".parse::<SessionId>().is_err());
    }
}
