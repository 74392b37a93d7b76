//! What was before and after a session, and who tried to take it back: the same words for both databases.

use const_format::concatcp;

use crate::store::reports::{ATTEMPTS_MAX, CHAIN_MAX, PAGE_MAX};

/// Asks for the sessions that `$1` goes on from.
pub(crate) const BEFORE: &str = concatcp!(
    "WITH RECURSIVE chain (place, session_id, continues, connected_at, disconnected_at, disconnect_reason) AS (
         SELECT 0, session_id, continues, connected_at, disconnected_at, disconnect_reason
         FROM archon_mcp_sessions WHERE session_id = $1
         UNION ALL
         SELECT place + 1, s.session_id, s.continues, s.connected_at, s.disconnected_at, s.disconnect_reason
         FROM chain JOIN archon_mcp_sessions s ON s.session_id = chain.continues WHERE place < ",
    CHAIN_MAX,
    ") SELECT * FROM chain WHERE place > 0 ORDER BY place"
);
/// Asks for those that go on from it.
pub(crate) const AFTER: &str = concatcp!(
    "WITH RECURSIVE chain (place, session_id, connected_at, disconnected_at, disconnect_reason) AS (
         SELECT 0, session_id, connected_at, disconnected_at, disconnect_reason
         FROM archon_mcp_sessions WHERE session_id = $1
         UNION ALL
         SELECT place + 1, s.session_id, s.connected_at, s.disconnected_at, s.disconnect_reason
         FROM chain JOIN archon_mcp_sessions s ON s.session_id =
             (SELECT n.session_id FROM archon_mcp_sessions n WHERE n.continues = chain.session_id
              ORDER BY n.connected_at, n.session_id LIMIT 1)
         WHERE place < ",
    CHAIN_MAX,
    ") SELECT * FROM chain WHERE place > 0 ORDER BY place"
);
/// Asks who tried to take `$1` back, the latest first.
pub(crate) const ATTEMPTS: &str = concatcp!(
    "SELECT timestamp, peer, principal, result FROM archon_mcp_reconnect_attempts
     WHERE session_id = $1 ORDER BY id DESC LIMIT ",
    ATTEMPTS_MAX
);
/// Asks which requests were turned away, the latest first. More than a page is more than anybody reads.
pub(crate) const REFUSALS: &str = concatcp!(
    "SELECT minute, last_at, cause, upstream, peer, principal, client, detail, count
     FROM archon_mcp_refusals ORDER BY id DESC LIMIT ",
    PAGE_MAX
);
