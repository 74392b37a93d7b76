//! What is known of an upstream's tools: their names, which of them may be called again, which of their arguments
//! headers mirror.
//!
//! Learned from each page of `tools/list` that passes, asked for where nobody has listed them yet, and dropped when
//! the server says that they have changed or turns out to be another one.

mod ask;
mod changes;
mod mirrors;
mod page;

pub use ask::ASK_LIMIT;
pub use changes::Changes;
pub use mirrors::header_value;
pub use page::Page;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use http::HeaderMap;
use page::Facts;
use parking_lot::{Mutex, MutexGuard};

/// Tools kept; servers have tens. What is beyond is not known.
const TOOLS_MAX: usize = 10_000;
/// Pages asked for at a time.
const PAGES_MAX: usize = 50;
/// A server that did not list its tools is asked again after this.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// What was learned may be old after this: a server can change its tools without a word.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Held for single operations, never across an await.
    known: Mutex<Known>,
    /// One question at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    tools: HashMap<String, Facts>,
    /// When all pages were seen, or asking for them failed.
    since: Option<Instant>,
    /// Whether asking failed.
    is_in_vain: bool,
    /// Counts what makes an answer that is on its way too old.
    age: u64,
    /// What the server said in its last handshake, as a hash.
    greeting: Option<u64>,
}

impl Known {
    fn is_usable(&self) -> bool {
        let lasts = if self.is_in_vain { ASK_AGAIN_AFTER } else { KNOWN_FOR };
        self.since.is_some_and(|since| since.elapsed() < lasts)
    }

    fn forget(&mut self) {
        self.tools.clear();
        (self.since, self.is_in_vain) = (None, false);
        self.age += 1;
    }

    fn add(&mut self, page: &Page) {
        for tool in &page.tools {
            if self.tools.len() < TOOLS_MAX || self.tools.contains_key(&tool.name) {
                self.tools.insert(tool.name.clone(), tool.facts.clone());
            }
        }
    }
}

impl Catalog {
    /// Learns from a page that passes; `is_first` if it was asked for without a cursor.
    pub fn learn(&self, page: &Page, is_first: bool) {
        let mut known = self.known();
        if is_first && page.next.is_none() {
            known.tools.clear();
            (known.since, known.is_in_vain) = (Some(Instant::now()), false);
        }
        known.add(page);
    }

    /// Drops what is known: the tools have changed.
    pub fn forget(&self) {
        self.known().forget();
    }

    /// Notes what the server said in a handshake (the result of `initialize`); one that says something else than before
    /// is another server.
    pub fn greeted(&self, result: &[u8]) {
        let mut hasher = DefaultHasher::new();
        result.hash(&mut hasher);
        let greeting = Some(hasher.finish());
        let mut known = self.known();
        if known.greeting.is_some_and(|before| Some(before) != greeting) {
            known.forget();
        }
        known.greeting = greeting;
    }

    /// Asks for all pages, unless they are known. `ask` is given the cursor as JSON text and returns the page from there,
    /// or nothing if the server does not give one. All pages together may take as long as `limit`.
    pub async fn complete<F>(&self, limit: Duration, mut ask: impl FnMut(Option<String>) -> F)
    where
        F: Future<Output = Option<Page>>,
    {
        if self.known().is_usable() {
            return;
        }
        let _turn = self.asking.lock().await;
        let age = {
            let known = self.known();
            if known.is_usable() {
                return;
            }
            known.age
        };
        let pages = async {
            let mut pages: Vec<Page> = Vec::new();
            let mut cursor = None::<String>;
            while pages.len() < PAGES_MAX {
                let page = ask(cursor.clone()).await?;
                let next = page.next.clone();
                pages.push(page);
                // A cursor that leads to itself leads nowhere.
                if next.is_none() || next == cursor {
                    break;
                }
                cursor = next;
            }
            Some(pages)
        };
        let pages = tokio::time::timeout(limit, pages).await.ok().flatten();
        let mut known = self.known();
        if known.age != age {
            return;
        }
        (known.since, known.is_in_vain) = (Some(Instant::now()), pages.is_none());
        if let Some(pages) = pages {
            known.tools.clear();
            pages.iter().for_each(|page| known.add(page));
        }
    }

    /// Returns whether all tools are known.
    pub fn is_complete(&self) -> bool {
        let known = self.known();
        known.is_usable() && !known.is_in_vain
    }

    /// Returns whether the server has a tool of this name, as far as is known.
    pub fn has(&self, name: &str) -> bool {
        self.known().tools.contains_key(name)
    }

    /// Returns whether a tool may be called again, by the server's own word.
    pub fn is_repeatable(&self, name: &str) -> bool {
        self.known().tools.get(name).is_some_and(|facts| facts.is_repeatable)
    }

    /// Checks the headers that mirror the arguments of a call of this tool against its `params`, JSON text.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check_mirrors(
        &self,
        tool: &str,
        headers: &HeaderMap,
        params: &str,
    ) -> Result<(), String> {
        match self.mirrors(tool) {
            Some(mirrors) => mirrors::check(&mirrors, headers, params),
            None => Ok(()),
        }
    }

    /// Returns the headers that mirror the arguments of a call of this tool with these `params`, JSON text.
    pub fn mirroring(&self, tool: &str, params: &str) -> HeaderMap {
        self.mirrors(tool).map_or_else(HeaderMap::new, |found| mirrors::headers(&found, params))
    }

    /// Few tools have any: the rest are to cost a call no more than this.
    fn mirrors(&self, tool: &str) -> Option<Vec<mirrors::Mirror>> {
        let known = self.known();
        let facts = known.tools.get(tool)?;
        (!facts.mirrors.is_empty()).then(|| facts.mirrors.clone())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(tools: &str, next: &str) -> Page {
        let json = format!(r#"{{"result":{{"tools":[{tools}],"nextCursor":{next}}}}}"#);
        Page::read(json.as_bytes()).unwrap()
    }

    async fn asked(catalog: &Catalog, page_of: impl Fn(Option<&str>) -> Option<Page>) -> usize {
        let mut asked = 0;
        catalog
            .complete(ASK_LIMIT, |cursor| {
                asked += 1;
                std::future::ready(page_of(cursor.as_deref()))
            })
            .await;
        asked
    }

    const READS: &str = r#"{"name":"a","annotations":{"readOnlyHint":true}}"#;

    #[tokio::test(start_paused = true)]
    async fn tools_are_asked_for_once() {
        let catalog = Catalog::default();
        let pages = |cursor: Option<&str>| match cursor {
            None => Some(page(READS, "\"c\"")),
            Some(_) => Some(page(r#"{"name":"b"}"#, "null")),
        };
        assert_eq!(asked(&catalog, pages).await, 2);
        assert_eq!(asked(&catalog, pages).await, 0);
        assert!(catalog.is_complete() && catalog.is_repeatable("a") && catalog.has("b"));
        assert!(!catalog.is_repeatable("b") && !catalog.has("c"));
        catalog.forget();
        assert!(!catalog.is_complete() && !catalog.has("a"));
        assert_eq!(asked(&catalog, pages).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_list_is_not_asked_with_every_call() {
        let catalog = Catalog::default();
        assert_eq!(asked(&catalog, |_| None).await, 1);
        assert_eq!(asked(&catalog, |_| None).await, 0);
        assert!(!catalog.is_complete());
        // One that gives a cursor for ever is not followed for ever.
        catalog.forget();
        assert_eq!(asked(&catalog, |_| Some(page("", "\"c\""))).await, 2);
        catalog.forget();
        let turn = std::cell::Cell::new(0);
        let count = |_: Option<&str>| {
            turn.set(turn.get() + 1);
            Some(page("", &turn.get().to_string()))
        };
        assert_eq!(asked(&catalog, count).await, PAGES_MAX);
    }

    #[test]
    fn what_passes_is_learned() {
        let catalog = Catalog::default();
        catalog.learn(&page(READS, "\"c\""), true);
        assert!(catalog.has("a") && !catalog.is_complete());
        catalog.learn(&page(r#"{"name":"b"}"#, "null"), true);
        assert!(catalog.is_complete() && catalog.has("b") && !catalog.has("a"));
    }

    #[test]
    fn another_server_has_other_tools() {
        let catalog = Catalog::default();
        catalog.greeted(b"{1}");
        catalog.learn(&page(READS, "null"), true);
        catalog.greeted(b"{1}");
        assert!(catalog.has("a"));
        catalog.greeted(b"{2}");
        assert!(!catalog.has("a") && !catalog.is_complete());
    }

    #[test]
    fn a_tool_may_change_what_headers_mirror() {
        let catalog = Catalog::default();
        let schema = r#""inputSchema":{"properties":{"region":{"x-mcp-header":"Region"}}}"#;
        let (headers, call) = (HeaderMap::new(), r#"{"name":"t","arguments":{"region":"eu"}}"#);
        assert!(catalog.check_mirrors("t", &headers, call).is_ok());
        catalog.learn(&page(&format!(r#"{{"name":"t",{schema}}}"#), "null"), true);
        assert!(catalog.check_mirrors("t", &headers, call).is_err());
        assert_eq!(catalog.mirroring("t", call)["mcp-param-region"], "eu");
        catalog.learn(&page(r#"{"name":"t","inputSchema":{}}"#, "null"), true);
        assert!(catalog.check_mirrors("t", &headers, call).is_ok());
    }
}
