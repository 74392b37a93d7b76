//! The tracker, on stores of each kind and against strangers.

mod strangers;
mod two_nodes;
