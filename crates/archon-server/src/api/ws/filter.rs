//! Which frames a listener wants, and from where on: the query of `/ws/sessions`.

use uuid::Uuid;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A session began.
    SessionCreated = 1,
    /// A session is alive.
    SessionUpdated = 2,
    /// A session ended.
    SessionDisconnected = 4,
    /// A client took its session back.
    SessionReconnected = 8,
    /// A call has ended.
    Request = 16,
    /// How sessions are.
    HealthUpdate = 32,
}

/// The kinds by the names that they have on the wire.
const NAMES: [(&str, Kind); 6] = [
    ("session_created", Kind::SessionCreated),
    ("session_updated", Kind::SessionUpdated),
    ("session_disconnected", Kind::SessionDisconnected),
    ("session_reconnected", Kind::SessionReconnected),
    ("request", Kind::Request),
    ("health_update", Kind::HealthUpdate),
];
/// Every listener gets these, whatever it asks for.
const UNASKED: [&str; 2] = ["snapshot", "resync"];
const ALL: u8 = 63;

/// Which frames a listener wants. Snapshots come to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    /// A bit for each kind.
    kinds: u8,
    /// Events of this session only.
    pub session: Option<Uuid>,
}

impl Filter {
    /// Lets everything through.
    #[cfg(test)]
    pub const ALL: Self = Self { kinds: ALL, session: None };

    /// Returns true if nothing is left out.
    pub fn is_all(&self) -> bool {
        self.kinds == ALL && self.session.is_none()
    }

    /// Returns true if a frame is wanted; one that is about no session in particular is about all.
    pub fn wants(&self, kind: Kind, session: Option<Uuid>) -> bool {
        let is_its_session = match (self.session, session) {
            (Some(wanted), Some(session)) => wanted == session,
            (None, _) | (_, None) => true,
        };
        self.kinds & kind as u8 != 0 && is_its_session
    }
}

/// What a listener asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Which frames.
    pub filter: Filter,
    /// The latest event that it knows.
    pub since: Option<u64>,
    /// The process that numbered it, if the listener says.
    pub epoch: Option<u64>,
}

impl Wish {
    /// Reads the query.
    ///
    /// # Errors
    /// With what is wrong with which parameter.
    pub fn read(query: &[(String, String)]) -> Result<Self, String> {
        let mut wish =
            Self { filter: Filter { kinds: ALL, session: None }, since: None, epoch: None };
        for (name, value) in query {
            match &**name {
                "since" => wish.since = Some(number(name, value)?),
                "epoch" => wish.epoch = Some(number(name, value)?),
                "session_id" => {
                    let id = Uuid::try_parse(value);
                    let id = id.map_err(|_| "`session_id` must be a UUID".to_owned())?;
                    wish.filter.session = Some(id);
                }
                "types" => wish.filter.kinds = kinds(value)?,
                _ => return Err(format!("unknown parameter `{name}`")),
            }
        }
        Ok(wish)
    }
}

fn number(name: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("`{name}` must be a number that a frame carried"))
}

fn kinds(value: &str) -> Result<u8, String> {
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.filter(|name| !UNASKED.contains(name)).try_fold(0, |kinds, wanted| {
        match NAMES.iter().find(|(name, _)| *name == wanted) {
            Some((_, kind)) => Ok(kinds | *kind as u8),
            None => {
                let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
                Err(format!("`types` must be some of {}, separated by commas", known.join(", ")))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<Wish, String> {
        let owned = |(name, value): &(&str, &str)| (String::from(*name), String::from(*value));
        Wish::read(&query.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn without_a_wish_everything_comes() {
        let wish = read(&[]).unwrap();
        assert!(wish.filter.is_all());
        assert_eq!(wish.since, None);
    }

    #[test]
    fn a_filter_leaves_out_what_is_not_wanted() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let wish = read(&[("types", "request, session_created,snapshot")]).unwrap();
        assert!(wish.filter.wants(Kind::Request, Some(one)));
        assert!(!wish.filter.wants(Kind::HealthUpdate, None));
        let wish = read(&[("session_id", &one.to_string())]).unwrap();
        assert!(wish.filter.wants(Kind::Request, Some(one)));
        assert!(!wish.filter.wants(Kind::Request, Some(other)));
        assert!(wish.filter.wants(Kind::HealthUpdate, None));
    }

    #[test]
    fn a_bad_value_names_its_parameter() {
        for (name, value) in [
            ("since", "-1"),
            ("since", ""),
            ("epoch", "x"),
            ("session_id", "1"),
            ("types", "all"),
            ("typo", ""),
        ] {
            let complaint = read(&[(name, value)]).unwrap_err();
            assert!(complaint.contains(&format!("`{name}`")), "{complaint}");
        }
    }
}
