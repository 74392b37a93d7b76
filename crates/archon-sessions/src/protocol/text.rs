//! A piece of text inside a message body, without a copy.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// UTF-8 text that shares the body it was found in.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Text(Bytes);

impl Text {
    /// Returns `part` as a text that shares `body`, of which it must be a part; copies otherwise.
    pub fn within(body: &Bytes, part: Cow<'_, str>) -> Self {
        match part {
            Cow::Borrowed(part) => Self(body.slice_ref(part.as_bytes())),
            Cow::Owned(part) => Self(Bytes::from(part)),
        }
    }

    /// Returns the text as bytes that share the body.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        // Only ever built from `str`, so this is the check and not a failure path.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}
