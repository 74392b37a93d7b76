//! What showed that a request belongs to a session.

/// What showed that a request belongs to a session, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Proof {
    /// (1) `X-Archon-Session-Id`, shown by the authenticated principal whose session it is.
    Header,
    /// (2) The legacy connection's `Mcp-Session-Id`: a handle.
    Connection,
    /// (3) The cookie: a handle.
    Cookie,
    /// (4) The client's key: a proof that clients without cookies can show.
    ClientKey,
    /// (5) The same authenticated principal with the same client.
    Principal,
    /// (6) `X-Archon-Session-Id` and nothing else. An id is in lists and logs: it names a session for tracking, and shows
    /// nothing.
    Name,
    /// (7) Peer address, user agent and client info: for tracking only.
    Fingerprint,
    /// (8) Nothing: the session is new.
    New,
}

impl Proof {
    /// Returns true if what it found may be used to reach state at an upstream, to get a token, and to end the
    /// session. Whoever has seen an id knows it, and a fingerprint is a guess: two clients behind one address must never
    /// meet in one upstream session.
    pub fn reaches_upstream_state(self) -> bool {
        match self {
            Self::Header
            | Self::Connection
            | Self::Cookie
            | Self::ClientKey
            | Self::Principal
            | Self::New => true,
            Self::Name | Self::Fingerprint => false,
        }
    }

    /// Returns true if the client can be known again by it. The client of a new session may have been given a handle
    /// that it does not keep: what it leaves behind then must be where it is looked for.
    pub fn is_lasting(self) -> bool {
        self != Self::New && self.reaches_upstream_state()
    }
}
