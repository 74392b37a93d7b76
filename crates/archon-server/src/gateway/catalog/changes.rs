//! Notices in a stream that passes that its server's tools have changed.

use std::sync::Arc;

use memchr::memmem;

use super::Catalog;

/// `notifications/tools/list_changed` ends with this. What stands before it may be escaped in several ways; lists of
/// other things say the same, and cost no more than that the tools are asked for again.
const NEEDLE: &[u8] = b"list_changed";

/// See the module.
#[derive(Debug)]
pub struct Changes {
    catalog: Arc<Catalog>,
    /// The end of what passed last, shorter than what is looked for; kept, so that a stream costs one allocation.
    carry: Vec<u8>,
}

impl Changes {
    /// Looks for changes of the tools in this catalogue.
    pub fn of(catalog: Arc<Catalog>) -> Self {
        Self { catalog, carry: Vec::new() }
    }

    /// Looks at the next bytes of the stream.
    pub fn saw(&mut self, bytes: &[u8]) {
        const KEPT: usize = NEEDLE.len() - 1;
        let seam = &mut self.carry;
        seam.extend_from_slice(&bytes[..bytes.len().min(KEPT)]);
        if memmem::find(seam, NEEDLE).is_some() || memmem::find(bytes, NEEDLE).is_some() {
            self.catalog.forget();
        }
        match bytes.len().checked_sub(KEPT) {
            Some(from) => {
                seam.clear();
                seam.extend_from_slice(&bytes[from..]);
            }
            None => drop(seam.drain(..seam.len().saturating_sub(KEPT))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Page;
    use super::*;

    #[test]
    fn a_change_is_seen_however_the_stream_is_cut() {
        let page = Page::read(br#"{"result":{"tools":[{"name":"a"}]}}"#).unwrap();
        let stream = br#"data: {"method":"notifications\/tools\/list_changed"}"#;
        for chunk in 1..stream.len() {
            let catalog = Arc::<Catalog>::default();
            catalog.learn(&page, true);
            let mut changes = Changes::of(catalog.clone());
            changes.saw(b"data: {\"method\":\"notifications/message\"}\n\n");
            assert!(catalog.has("a"));
            stream.chunks(chunk).for_each(|bytes| changes.saw(bytes));
            assert!(!catalog.has("a"), "{chunk}");
        }
    }
}
