//! How many files and sockets this process may have open: the usual limit of 1,024 is far below what it can serve.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A client has a connection of its own and up to three at its upstream: a stream, calls, a probe.
const PER_CLIENT: u64 = 4;
/// Database, log, listeners, children's pipes, the API.
const RESERVE: u64 = 1024;

/// What is done about the limit.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// The limit to ask for, if it is to be raised.
    raised: Option<u64>,
    /// How many clients can be served then, if those are fewer than may connect.
    clients: Option<u64>,
}

/// `None` stands for no limit.
fn plan(current: Option<u64>, maximum: Option<u64>, connections_max: u64) -> Plan {
    let needed = connections_max.saturating_mul(PER_CLIENT).saturating_add(RESERVE);
    let Some(current) = current.filter(|current| *current < needed) else {
        return Plan { raised: None, clients: None };
    };
    let reached = maximum.unwrap_or(needed).min(needed).max(current);
    let clients = reached.saturating_sub(RESERVE.min(reached / 2)) / PER_CLIENT;
    Plan {
        raised: Some(reached).filter(|reached| *reached > current),
        clients: Some(clients).filter(|clients| *clients < connections_max),
    }
}

/// Raises the limit to what is needed for as many connections, as far as the system lets us; says so where that is
/// not enough.
pub fn raise(connections_max: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let connections_max = connections_max as u64;
    let mut plan_made = plan(current, maximum, connections_max);
    if let Some(raised) = plan_made.raised {
        let limit = Rlimit { current: Some(raised), maximum };
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!("could not raise the limit on open files to {raised}: {error}");
            plan_made = plan(current, current, connections_max);
        }
    }
    if let Some(clients) = plan_made.clients {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or_default();
        tracing::warn!(
            limit,
            clients,
            "the limit on open files is {limit}: about {clients} clients can be served at a time, \
             not {connections_max} (limits.connections_max); raise it with LimitNOFILE= or ulimit -n"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_is_needed_and_no_further() {
        let needed = 10_000 * PER_CLIENT + RESERVE;
        for (current, maximum, raised, clients) in [
            (Some(1024), Some(1_048_576), Some(needed), None),
            (Some(1024), None, Some(needed), None),
            (Some(needed), Some(needed), None, None),
            (None, None, None, None),
            (Some(1024), Some(4096), Some(4096), Some(768)),
            (Some(1024), Some(1024), None, Some(128)),
        ] {
            let expected = Plan { raised, clients };
            assert_eq!(plan(current, maximum, 10_000), expected, "{current:?} {maximum:?}");
        }
    }
}
