//! Runs tests on each database that there is, each test on one of its own.

/// Makes each of these functions, which take a reference to a store, a test of each database.
macro_rules! on_each_database {
    ($($test:ident),* $(,)?) => {
        mod sqlite_file {
            $(#[tokio::test]
            async fn $test() {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("a/b.db");
                let store = crate::store::sqlite::SqliteStore::open(&path).await.unwrap();
                super::$test(&store).await;
                store.close().await;
            })*
        }

        mod sqlite_in_memory {
            $(#[tokio::test]
            async fn $test() {
                let store = crate::store::sqlite::SqliteStore::in_memory().await.unwrap();
                super::$test(&store).await;
                store.close().await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                let url = crate::store::postgres::server::new_database("").await;
                let store = crate::store::postgres::PostgresStore::open(&url).await.unwrap();
                super::$test(&store).await;
                store.close().await;
            })*
        }

        mod pooled_postgres {
            $(#[tokio::test]
            async fn $test() {
                let url = crate::store::postgres::server::new_database("?pgbouncer=true").await;
                let store = crate::store::postgres::PostgresStore::open(&url).await.unwrap();
                super::$test(&store).await;
                store.close().await;
            })*
        }
    };
}
