//! A file of checksummed records that is appended to, and now and then rewritten whole.
//!
//! `magic, (length u32 LE, CRC-32 of the payload u32 LE, payload)*`. A record counts once it is whole: a file that a crash cut
//! off is its records up to there.

use super::{Flush, StoreError};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a file begins with, and how it is called in errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) magic: [u8; 8],
    pub(super) name: &'static str,
}

#[derive(Debug)]
pub(super) struct RecordFile {
    kind: Kind,
    disk: Arc<Mutex<Disk>>,
    /// What the next flush is to write.
    unwritten: BytesMut,
    mode: Mode,
    durability: Durability,
    /// Bytes of the file, once everything is flushed.
    len: u64,
    torn: u64,
}

/// What a flush does with what is not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Append,
    /// It is the whole of a new file, which takes the place of the old one.
    Replace,
}

/// Whether the next flush must have reached the disk, or may be with the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Durability {
    Process,
    Disk,
}

#[derive(Debug)]
struct Disk {
    path: PathBuf,
    file: File,
    /// Held as long as the store: the file itself changes when it is rewritten.
    _lock: File,
    /// What is on the disk behind a write that failed is not known.
    failed: bool,
}

const HEADER: usize = 8;

impl RecordFile {
    /// Opens or creates it, and reads its records.
    pub(super) fn open(path: &Path, kind: Kind) -> Result<(Self, Vec<Bytes>), StoreError> {
        let fails = |doing| move |source| StoreError::Io { path: path.to_owned(), doing, source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        options.open(path).map_err(fails("open"))?;
        // Where links lead: whoever knows it by another name finds the same lock, and the link stays one.
        let real = fs::canonicalize(path).map_err(fails("find"))?;
        let lock = lock(&real)?;
        // Only now: until it was locked, another file may have taken its place.
        let mut file = options.open(&real).map_err(fails("open"))?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(fails("read"))?;
        let found = content.len() as u64;
        let mut content = Bytes::from(content);
        let mut len = kind.magic.len() as u64;
        let mut records = Vec::new();
        if content.starts_with(&kind.magic) {
            content.advance(kind.magic.len());
            while let Some(record) = take_record(&mut content) {
                len += (HEADER + record.len()) as u64;
                records.push(record);
            }
        } else if kind.magic.starts_with(&content) {
            // New, or cut off within its very first write.
            len = 0;
        } else {
            return Err(StoreError::Foreign { path: path.to_owned(), expected: kind.name });
        }
        if len < found {
            tracing::warn!(?path, bytes = found - len, "the end of the file was torn, and is dropped");
            file.set_len(len).map_err(fails("truncate"))?;
        }
        file.seek(SeekFrom::Start(len)).map_err(fails("seek in"))?;
        let disk = Disk { path: real, file, _lock: lock, failed: false };
        let mut opened = Self {
            kind,
            disk: Arc::new(Mutex::new(disk)),
            unwritten: BytesMut::new(),
            mode: Mode::Append,
            durability: Durability::Process,
            len,
            torn: found - len,
        };
        if len == 0 {
            opened.replace([]);
        }
        Ok((opened, records))
    }

    /// Bytes at the end that were no whole record when it was opened.
    pub(super) fn torn(&self) -> u64 {
        self.torn
    }

    /// Bytes of the file, once everything is flushed.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Adds a record, which is in the file after the next flush.
    pub(super) fn append(&mut self, record: &[u8], durability: Durability) {
        put_record(record, &mut self.unwritten);
        self.len += (HEADER + record.len()) as u64;
        self.durability = self.durability.max(durability);
    }

    /// Has these records in place of all that there were, after the next flush: either all of them or none.
    pub(super) fn replace<'a>(&mut self, records: impl IntoIterator<Item = &'a [u8]>) {
        self.unwritten.clear();
        self.unwritten.put_slice(&self.kind.magic);
        records.into_iter().for_each(|record| put_record(record, &mut self.unwritten));
        self.len = self.unwritten.len() as u64;
        self.mode = Mode::Replace;
        self.durability = Durability::Disk;
    }

    pub(super) fn flush(&mut self) -> Option<Flush> {
        if self.unwritten.is_empty() {
            return None;
        }
        let bytes = self.unwritten.split().freeze();
        let mode = std::mem::replace(&mut self.mode, Mode::Append);
        let durability = std::mem::replace(&mut self.durability, Durability::Process);
        let disk = Arc::clone(&self.disk);
        Some(Flush::new(move || disk.lock().write(&bytes, mode, durability)))
    }
}

impl Disk {
    fn write(&mut self, bytes: &[u8], mode: Mode, durability: Durability) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write to it failed"));
        }
        self.failed = true;
        match mode {
            Mode::Append => self.file.write_all(bytes)?,
            Mode::Replace => self.file = replace(&self.path, self.file.metadata()?.permissions(), bytes)?,
        }
        if durability == Durability::Disk {
            self.file.sync_data()?;
        }
        self.failed = false;
        Ok(())
    }
}

/// Writes a file beside the old one, with the same permissions, and then puts it into the old one's place.
fn replace(path: &Path, permissions: fs::Permissions, bytes: &[u8]) -> io::Result<File> {
    let beside = beside(path, "new");
    let mut file = File::create(&beside)?;
    file.set_permissions(permissions)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_folder(path)?;
    Ok(file)
}

/// Makes a rename outlive a loss of power.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file; the file system's own journal must do.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let fails = |source| StoreError::Io { path: path.to_owned(), doing: "lock", source };
    let lock = beside(path, "lock");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(lock).map_err(fails)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(fails(source)),
    }
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn put_record(record: &[u8], out: &mut BytesMut) {
    let len = u32::try_from(record.len()).expect("a record is far shorter than 4 GiB");
    out.put_u32_le(len);
    out.put_u32_le(crc32fast::hash(record));
    out.put_slice(record);
}

/// The next record, if it is whole.
fn take_record(content: &mut Bytes) -> Option<Bytes> {
    let mut rest = content.clone();
    let len = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
    let checksum = rest.try_get_u32_le().ok()?;
    // A file that was extended and never written is zeros, which would be whole records of no bytes.
    if len == 0 || rest.len() < len {
        return None;
    }
    let record = rest.split_to(len);
    if crc32fast::hash(&record) != checksum {
        return None;
    }
    *content = rest;
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    const KIND: Kind = Kind { magic: *b"tenfourT", name: "a test's file" };

    fn write(path: &Path, records: &[&[u8]]) {
        let (mut file, found) = RecordFile::open(path, KIND).unwrap();
        assert!(found.is_empty());
        records.iter().for_each(|record| file.append(record, Durability::Disk));
        file.flush().unwrap().run().unwrap();
    }

    /// The records that whoever opens a file finds, and how much of it was torn.
    fn read(path: &Path) -> (Vec<Bytes>, u64) {
        let (file, records) = RecordFile::open(path, KIND).unwrap();
        (records, file.torn())
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_is_its_whole_records_and_goes_on_from_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("whole");
        let records: [&[u8]; 4] = [b"a", b"bc", &[0; 40], b"last"];
        write(&path, &records);
        let content = fs::read(&path).unwrap();
        let mut ends = vec![KIND.magic.len()];
        for record in records {
            ends.push(ends.last().unwrap() + HEADER + record.len());
        }
        assert_eq!(*ends.last().unwrap(), content.len());

        for cut in 0..=content.len() {
            let path = folder.path().join(format!("cut-{cut}"));
            fs::write(&path, &content[..cut]).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            let (mut file, found) = RecordFile::open(&path, KIND).unwrap();
            assert_eq!(found, &records[..whole], "cut at {cut}");
            file.append(b"appended", Durability::Disk);
            file.flush().unwrap().run().unwrap();
            drop(file);
            let (found, torn) = read(&path);
            assert_eq!((found.len(), torn), (whole + 1, 0), "cut at {cut}");
            assert_eq!(found[whole], b"appended"[..], "cut at {cut}");
        }
    }

    #[test]
    fn a_record_that_was_torn_within_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("whole");
        write(&path, &[b"first", b"second"]);
        let content = fs::read(&path).unwrap();
        for at in content.len() - b"second".len() - HEADER..content.len() {
            let mut torn = content.clone();
            torn[at] ^= 0x10;
            let path = folder.path().join(format!("torn-{at}"));
            fs::write(&path, &torn).unwrap();
            assert_eq!(read(&path).0, [&b"first"[..]], "torn at {at}");
        }
    }

    #[test]
    fn a_file_is_for_one_at_a_time_also_after_it_was_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        let (mut file, _) = RecordFile::open(&path, KIND).unwrap();
        for _ in 0..2 {
            assert!(matches!(RecordFile::open(&path, KIND), Err(StoreError::InUse { .. })));
            file.replace([&b"new"[..]]);
            file.flush().unwrap().run().unwrap();
        }
        drop(file);
        assert_eq!(read(&path).0, [&b"new"[..]]);
    }

    #[cfg(unix)]
    #[test]
    fn another_name_for_a_file_is_the_same_file() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        symlink(&path, &link).unwrap();
        for (first, second) in [(&link, &path), (&path, &link)] {
            let (mut file, _) = RecordFile::open(first, KIND).unwrap();
            assert!(matches!(RecordFile::open(second, KIND), Err(StoreError::InUse { .. })));
            file.replace([&b"new"[..]]);
            file.flush().unwrap().run().unwrap();
            drop(file);
            assert_eq!(read(second).0, [&b"new"[..]]);
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        }
    }

    #[cfg(unix)]
    #[test]
    fn who_may_read_a_file_does_not_change_when_it_is_replaced() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private");
        write(&path, &[b"secret"]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let (mut file, _) = RecordFile::open(&path, KIND).unwrap();
        file.replace([&b"secret"[..]]);
        file.flush().unwrap().run().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_crash_before_the_rename_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old");
        write(&path, &[b"old"]);
        fs::write(beside(&path, "new"), b"half of a new").unwrap();
        assert_eq!(read(&path).0, [&b"old"[..]]);
    }

    #[test]
    fn a_file_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("diary");
        fs::write(&path, b"dear diary").unwrap();
        assert!(matches!(RecordFile::open(&path, KIND), Err(StoreError::Foreign { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"dear diary");
    }

    #[test]
    fn after_a_write_that_failed_nothing_is_written_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("failing");
        let (mut file, _) = RecordFile::open(&path, KIND).unwrap();
        file.flush().unwrap().run().unwrap();
        file.disk.lock().file = File::open(&path).unwrap(); // for reading only
        for _ in 0..2 {
            file.append(b"x", Durability::Disk);
            assert!(file.flush().unwrap().run().is_err());
        }
        let (mut again, _) = {
            drop(file);
            RecordFile::open(&path, KIND).unwrap()
        };
        again.append(b"y", Durability::Disk);
        again.flush().unwrap().run().unwrap();
    }

    proptest! {
        /// Whatever stands behind whole records, they are found, and nothing panics.
        #[test]
        fn garbage_behind_records_is_dropped(records in vec(vec(any::<u8>(), 1..50), 0..5), garbage in vec(any::<u8>(), 0..40)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("garbage");
            let mut content = BytesMut::from(&KIND.magic[..]);
            records.iter().for_each(|record| put_record(record, &mut content));
            content.extend_from_slice(&garbage);
            fs::write(&path, &content).unwrap();
            let (found, torn) = read(&path);
            prop_assert_eq!(&found[..records.len()], &records[..]);
            prop_assert!(torn <= garbage.len() as u64);
        }
    }
}
