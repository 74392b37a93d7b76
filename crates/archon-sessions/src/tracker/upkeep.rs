//! What goes on beside requests: sessions that fall silent, records that grow old, processes that come and go.

mod nodes;
mod reaper;
mod recovery;
mod retention;

pub(super) use nodes::Others;
