//! The era of the protocol a client speaks.

/// The two families of the protocol, as the specification calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: a handshake, then `Mcp-Session-Id`.
    Legacy,
    /// 2026-07-28 and later: every request describes itself.
    Modern,
}

impl Era {
    /// The first version of the modern era.
    pub const MODERN_SINCE: &str = "2026-07-28";

    /// Returns the stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }

    /// Returns the era of a stored word; anything but `modern` is legacy.
    pub fn from_stored(word: &str) -> Self {
        if word == "modern" { Self::Modern } else { Self::Legacy }
    }

    /// Returns the era a protocol version belongs to. Versions are dates, so they sort as text;
    /// what is not a date is no version of the modern era.
    pub fn of_version(version: &str) -> Self {
        let is_date = version.len() == 10
            && version.bytes().enumerate().all(|(i, b)| match i {
                4 | 7 => b == b'-',
                _ => b.is_ascii_digit(),
            });
        if is_date && version >= Self::MODERN_SINCE { Self::Modern } else { Self::Legacy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_know_their_era() {
        for version in ["2024-11-05", "2025-03-26", "2025-11-25", "", "zzzz", "DRAFT-2026-v1"] {
            assert_eq!(Era::of_version(version), Era::Legacy, "{version}");
        }
        for version in ["2026-07-28", "2027-01-01"] {
            assert_eq!(Era::of_version(version), Era::Modern, "{version}");
        }
    }
}
