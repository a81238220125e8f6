//! A directory in memory, of which a test can take a copy as it is, or as a power failure leaves it, and in which it can
//! damage bytes.

use std::{
    any::Any,
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::vfs::{File, Open, Vfs};

#[derive(Clone, Debug, Default)]
pub(super) struct Store(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Arc<Mutex<Contents>>>>,
    /// The same as of the last time that the directory was synced.
    synced: Mutex<BTreeMap<String, Arc<Mutex<Contents>>>>,
    is_locked: Arc<AtomicBool>,
    is_full: AtomicBool,
    fails_to_sync: AtomicBool,
    panics: AtomicBool,
}

/// The bytes of a file, and those of its last sync.
#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    /// What a sync that failed has left as if it were written: only what is written there again is synced again.
    clean: Option<Vec<bool>>,
}

impl Store {
    /// The same files, as they are now.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::default();
        for (name, bytes) in self.files() {
            copy.put(&name, bytes);
        }
        copy
    }

    /// The files of which a power failure leaves what was synced, and nothing else.
    pub(super) fn after_power_failure(&self) -> Self {
        let copy = Self::default();
        for (name, contents) in &*self.0.synced.lock().unwrap() {
            copy.put(name, contents.lock().unwrap().synced.clone());
        }
        copy
    }

    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.0.files.lock().unwrap();
        files.iter().map(|(name, bytes)| (name.clone(), bytes.lock().unwrap().bytes.clone())).collect()
    }

    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) {
        let contents = Arc::new(Mutex::new(Contents { synced: bytes.clone(), bytes, clean: None }));
        self.0.files.lock().unwrap().insert(name.into(), Arc::clone(&contents));
        self.0.synced.lock().unwrap().insert(name.into(), contents);
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.files.lock().unwrap().remove(name).expect("there is such a file");
    }

    /// Whether there is room for new files.
    pub(super) fn set_full(&self, is_full: bool) {
        self.0.is_full.store(is_full, Ordering::SeqCst);
    }

    /// Takes what is not synced for written, as a system does after a sync that failed.
    pub(super) fn forget_what_is_unsynced(&self) {
        for contents in self.0.files.lock().unwrap().values() {
            let mut contents = contents.lock().unwrap();
            contents.clean = Some(vec![true; contents.bytes.len()]);
        }
    }

    /// Whether writes panic.
    pub(super) fn set_panicking(&self, panics: bool) {
        self.0.panics.store(panics, Ordering::SeqCst);
    }

    /// Whether syncs fail.
    pub(super) fn set_failing(&self, is_failing: bool) {
        self.0.fails_to_sync.store(is_failing, Ordering::SeqCst);
    }
}

impl Vfs for Store {
    fn open(&self, name: &str, mode: Open) -> io::Result<Arc<dyn File>> {
        let mut files = self.0.files.lock().unwrap();
        let contents = match (mode, files.get(name)) {
            (Open::Existing, Some(contents)) => Arc::clone(contents),
            (Open::Existing, None) => return Err(io::ErrorKind::NotFound.into()),
            (Open::Create, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Open::Create, None) => Arc::clone(files.entry(name.into()).or_default()),
        };
        Ok(Arc::new(Opened { contents, store: self.clone() }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.files.lock().unwrap().keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.files.lock().unwrap();
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.into(), bytes);
        Ok(())
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        let removed = self.0.files.lock().unwrap().remove(name);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0.synced.lock().unwrap().clone_from(&self.0.files.lock().unwrap());
        Ok(())
    }

    fn lock(&self) -> io::Result<Box<dyn Any + Send + Sync>> {
        if self.0.is_locked.swap(true, Ordering::SeqCst) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock(Arc::clone(&self.0.is_locked))))
    }
}

struct Lock(Arc<AtomicBool>);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Opened {
    contents: Arc<Mutex<Contents>>,
    store: Store,
}

impl File for Opened {
    fn len(&self) -> io::Result<u64> {
        Ok(self.contents.lock().unwrap().bytes.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let contents = self.contents.lock().unwrap();
        let bytes = &contents.bytes;
        let rest = bytes.get(at as usize..).unwrap_or_default();
        let read = rest.len().min(buf.len());
        buf[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, buf: &[u8], at: u64) -> io::Result<()> {
        assert!(!self.store.0.panics.load(Ordering::SeqCst), "this file system has a bug");
        let mut contents = self.contents.lock().unwrap();
        let bytes = &mut contents.bytes;
        let end = at as usize + buf.len();
        if bytes.len() < end {
            if self.store.0.is_full.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            bytes.resize(end, 0);
        }
        bytes[at as usize..end].copy_from_slice(buf);
        if let Some(clean) = &mut contents.clean {
            clean.resize(clean.len().max(end), false);
            clean[at as usize..end].fill(false);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.contents.lock().unwrap().bytes.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.store.0.fails_to_sync.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the cable is out")),
            false => {
                let Contents { bytes, synced, clean } = &mut *self.contents.lock().unwrap();
                let is_clean = |at: usize| clean.as_ref().is_some_and(|clean| clean.get(at) == Some(&true));
                let old = |at: usize| synced.get(at).copied().unwrap_or(0);
                let byte = |(at, byte): (usize, &u8)| if is_clean(at) { old(at) } else { *byte };
                *synced = bytes.iter().enumerate().map(byte).collect();
                Ok(())
            }
        }
    }
}
