//! Bad weather: folders that are missing, read-only or full, and a second urva.

use crate::child::{Second, command, role, say, wait_for};
use crate::samples::{HOUR, execution};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use store::{StateLock, Store, StoreError};
use tempfile::TempDir;

#[test]
fn a_missing_folder_is_said_to_be_missing() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [missing, file] {
        let lock = StateLock::acquire(&path).unwrap_err();
        let store = wait_for(Store::open(path.join("urva.db"))).unwrap_err();
        for error in [lock, store] {
            assert!(matches!(&error, StoreError::NoFolder { path: named } if *named == path), "{error:?}");
            assert!(error.to_string().contains("--state"), "{error}");
        }
    }
}

#[test]
fn a_second_lock_on_the_same_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let lock = StateLock::acquire(folder.path()).unwrap();
    let error = StateLock::acquire(folder.path()).unwrap_err();
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(lock);
    StateLock::acquire(folder.path()).unwrap();
}

#[test]
fn the_lock_of_another_process_names_it_and_ends_with_it() {
    if let Some(folder) = role() {
        let _lock = StateLock::acquire(&folder).unwrap();
        say("locked");
        loop {
            std::thread::park();
        }
    }
    let folder = TempDir::new().unwrap();
    let mut holder =
        Second::start("file::weather::the_lock_of_another_process_names_it_and_ends_with_it", folder.path());
    assert_eq!(holder.hear().unwrap(), "locked");
    match StateLock::acquire(folder.path()) {
        Err(StoreError::Locked { pid, .. }) => assert_eq!(pid, Some(holder.pid())),
        other => panic!("{other:?}"),
    }
    drop(holder);
    StateLock::acquire(folder.path()).unwrap();
}

#[test]
fn the_lock_follows_no_link() {
    let folder = TempDir::new().unwrap();
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    symlink(&victim, folder.path().join("urva.lock")).unwrap();
    StateLock::acquire(folder.path()).unwrap_err();
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
}

/// Root may write everywhere, so a process of another user tries.
#[test]
fn a_folder_or_file_that_may_not_be_written_is_named() {
    if let Some(folder) = role() {
        wait_for(try_to_write(&folder));
        return;
    }
    let folder = TempDir::new().unwrap();
    set_mode(folder.path(), 0o755);
    for (name, folder_mode, file_mode) in [("no-new-file", 0o555, None), ("no-write", 0o777, Some(0o444))] {
        let state = folder.path().join(name);
        std::fs::create_dir(&state).unwrap();
        if let Some(mode) = file_mode {
            wait_for(async { Store::open(state.join("urva.db")).await.unwrap().close().await.unwrap() });
            set_mode(&state.join("urva.db"), mode);
        }
        set_mode(&state, folder_mode);
        let mut other = command("file::weather::a_folder_or_file_that_may_not_be_written_is_named", &state);
        if rustix::process::geteuid().is_root() {
            other.uid(65_534).gid(65_534);
        }
        let mut other = Second::spawn(&mut other);
        assert_eq!(other.hear().as_deref(), Some("refused"), "{name}");
        set_mode(&state, 0o755);
    }
}

async fn try_to_write(folder: &Path) {
    let error = Store::open(folder.join("urva.db")).await.unwrap_err();
    assert!(matches!(error, StoreError::NotWritable { .. }), "{error:?}");
    assert!(error.to_string().contains(folder.to_str().unwrap()), "{error}");
    say("refused");
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// A file system in memory, gone when the test ends.
struct Disk {
    folder: TempDir,
}

impl Disk {
    /// None where the user chose to leave out what needs root.
    fn mount(size: &str) -> Option<Self> {
        if std::env::var_os("URVA_TEST_SKIP_PRIVILEGED").is_some_and(|value| value == "1") {
            println!("SKIPPED: mounting a small disk needs root");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let options = std::ffi::CString::new(format!("size={size}")).unwrap();
        mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
        Some(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn database(&self) -> PathBuf {
        self.path().join("urva.db")
    }

    /// The same files at another place, where they cannot be written.
    fn view_read_only(&self) -> Self {
        let folder = TempDir::new().unwrap();
        mount_bind(self.path(), folder.path()).unwrap();
        mount_remount(folder.path(), MountFlags::BIND | MountFlags::RDONLY, c"").unwrap();
        Self { folder }
    }

    /// Takes what space is left, in a file that can be removed again.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = std::fs::File::create(&path).unwrap();
        let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(self.folder.path(), UnmountFlags::DETACH).unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_recorded_and_recording_goes_on_when_there_is_space() {
    let Some(disk) = Disk::mount("2m") else { return };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 500_000]).unwrap();
    let store = Store::open(disk.database()).await.unwrap();
    let mut recorded = Vec::new();
    let refused = loop {
        let pid = u32::try_from(recorded.len()).unwrap();
        let finding = execution("a", &format!("{pid}{}", "#".repeat(20_000)), pid, 0);
        match store.record(std::slice::from_ref(&finding), HOUR).await {
            Ok(_) => recorded.push(finding),
            Err(StoreError::DiskFull { .. }) => break finding,
            Err(error) => panic!("{error:?}"),
        }
        assert!(recorded.len() < 1_000, "the disk does not get full");
    };
    assert!(!recorded.is_empty());
    std::fs::remove_file(ballast).unwrap();
    store.record(std::slice::from_ref(&refused), HOUR).await.unwrap();
    recorded.push(refused);
    drop(store);
    let store = Store::open(disk.database()).await.unwrap();
    for finding in &recorded {
        assert_eq!(store.get(&finding.id).await.unwrap(), *finding);
    }
}

#[tokio::test]
async fn a_disk_that_is_full_from_the_start_is_named() {
    let Some(disk) = Disk::mount("1m") else { return };
    let ballast = disk.fill();
    let error = Store::open(disk.database()).await.unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert!(error.to_string().contains("full"), "{error}");
    let _lock = StateLock::acquire(disk.path()).unwrap();
    std::fs::remove_file(ballast).unwrap();
    Store::open(disk.database()).await.unwrap();
}

#[tokio::test]
async fn a_read_only_mount_is_not_written_but_can_be_read() {
    let Some(disk) = Disk::mount("2m") else { return };
    let finding = execution("a", "x", 1, 0);
    let store = Store::open(disk.database()).await.unwrap();
    store.record(std::slice::from_ref(&finding), HOUR).await.unwrap();
    store.close().await.unwrap();
    let view = disk.view_read_only();
    let database = view.path().join("urva.db");
    let error = Store::open(&database).await.unwrap_err();
    assert!(matches!(error, StoreError::NotWritable { .. }), "{error:?}");
    let lock = StateLock::acquire(view.path()).unwrap_err();
    assert!(matches!(lock, StoreError::NotWritable { .. }), "{lock:?}");
    let reader = Store::open_read_only(&database).await.unwrap();
    assert_eq!(reader.get(&finding.id).await.unwrap(), finding);
}
