//! Files that nobody else may read: what clients do is in them, and keys.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;
/// What others than the owner may do.
const OF_OTHERS: u32 = 0o077;

/// Makes a folder that is missing, for its owner alone, whatever the umask says. One that is there is somebody's
/// decision, and stays as it is.
pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(folder)
}

/// Makes a file that is missing. SQLite gives its journals the rights of the database.
pub(super) fn create_file(path: &Path) -> io::Result<()> {
    let created = OpenOptions::new().write(true).create_new(true).mode(FILE).open(path);
    match created {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Takes a file that is there from others: an earlier version left it to the umask. A file that belongs to somebody else
/// stays as it is.
pub(super) fn keep_to_owner(path: &Path) {
    let Ok(found) = std::fs::metadata(path) else { return };
    if found.mode() & OF_OTHERS == 0 {
        return;
    }
    let own = Permissions::from_mode(found.mode() & 0o7777 & !OF_OTHERS);
    match std::fs::set_permissions(path, own) {
        Ok(()) => tracing::info!("{} could be read by others, and cannot any more", path.display()),
        Err(error) => tracing::warn!("others can read {}: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStore;
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn a_database_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/deep/x.db");
        SqliteStore::open(&path).await.unwrap().close().await;
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let store = SqliteStore::open(&path).await.unwrap();
        for part in ["x.db", "x.db-wal", "x.db-shm"] {
            assert_eq!(mode(&path.with_file_name(part)), FILE, "{part}");
        }
        for made in ["data", "data/deep"] {
            assert_eq!(mode(&folder.path().join(made)), FOLDER, "{made}");
        }
        store.close().await;
    }
}
