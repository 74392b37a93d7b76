//! The tracker, on stores of each kind and against strangers.

/// Runs each test on each kind of store that two processes can share.
macro_rules! on_each {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Shared::sqlite().await).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Shared::postgres().await).await;
            })*
        }
    };
}

mod owners;
mod strangers;
mod two_nodes;
