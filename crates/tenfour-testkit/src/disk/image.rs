//! What is on the disk: files and names, as processes see them and as a power failure leaves them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io, mem,
};

use self::file::File;
pub(super) use self::name::Name;
use super::{SECTOR, Syncs, Unsynced};
use crate::rng::Rng;

mod file;
mod name;

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId(u64);

/// The two images.
#[derive(Clone, Hash)]
pub(super) struct Image {
    rng: Rng,
    files: BTreeMap<FileId, File>,
    /// The directory as processes see it.
    names: BTreeMap<Name, FileId>,
    /// The directory as of its last sync.
    synced_names: BTreeMap<Name, FileId>,
    /// What led from the second to the first.
    changes: Vec<NameChange>,
    /// What blocks that are free may still hold: the contents of the file that was removed last.
    stale: Vec<u8>,
    next_file: u64,
    capacity: Option<u64>,
    syncs: Syncs,
}

#[derive(Clone, Debug, Hash)]
enum NameChange {
    Created(Name, FileId),
    /// In one step: there is no time at which neither or both names are there.
    Renamed(Name, Name, FileId),
    Unlinked(Name),
}

impl Image {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            rng,
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            stale: Vec::new(),
            next_file: 0,
            capacity: None,
            syncs: Syncs::Honest,
        }
    }

    pub(super) fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
    }

    pub(super) fn set_syncs(&mut self, syncs: Syncs) {
        self.syncs = syncs;
    }

    pub(super) fn used(&self) -> u64 {
        self.names.values().filter_map(|id| self.files.get(id)).map(File::used).sum()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.keys().map(ToString::to_string).collect()
    }

    pub(super) fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let id = self.names.get(&Name::new(name).ok()?)?;
        self.files.get(id).map(|file| file.seen().to_vec())
    }

    pub(super) fn put(&mut self, name: &str, contents: &[u8]) {
        let Ok(name) = Name::new(name) else { return };
        let id = self.new_file(File::synced(contents));
        self.names.insert(name.clone(), id);
        self.synced_names.insert(name, id);
    }

    pub(super) fn find(&self, name: &Name) -> io::Result<FileId> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn create(&mut self, name: Name) -> io::Result<FileId> {
        if self.names.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = self.new_file(File::default());
        self.names.insert(name.clone(), id);
        self.changes.push(NameChange::Created(name, id));
        Ok(id)
    }

    pub(super) fn rename(&mut self, from: Name, to: Name) -> io::Result<()> {
        let id = self.names.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        self.names.insert(to.clone(), id);
        self.changes.push(NameChange::Renamed(from, to, id));
        Ok(())
    }

    pub(super) fn unlink(&mut self, name: Name) -> io::Result<()> {
        let id = self.names.remove(&name).ok_or(io::ErrorKind::NotFound)?;
        if let Some(file) = self.files.get(&id) {
            self.stale = file.seen().to_vec();
        }
        self.changes.push(NameChange::Unlinked(name));
        Ok(())
    }

    pub(super) fn sync_names(&mut self) {
        if self.syncs == Syncs::Honest {
            self.synced_names.clone_from(&self.names);
            self.changes.clear();
        }
    }

    pub(super) fn len(&self, id: FileId) -> u64 {
        self.files.get(&id).map_or(0, |file| file.seen().len() as u64)
    }

    /// Reads all that there is, up to the buffer's length.
    pub(super) fn read(&self, id: FileId, buf: &mut [u8], at: u64) -> usize {
        let held = self.files.get(&id).map_or(&[][..], File::seen);
        let held = usize::try_from(at).ok().and_then(|at| held.get(at..)).unwrap_or_default();
        let count = held.len().min(buf.len());
        buf[..count].copy_from_slice(&held[..count]);
        count
    }

    pub(super) fn write(&mut self, id: FileId, bytes: &[u8], at: u64) -> io::Result<()> {
        let free = self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()));
        let Some(file) = self.files.get_mut(&id) else { return Ok(()) };
        let at = place(at)?;
        let fits = file.fitting(at, bytes.len(), free / SECTOR as u64);
        file.write(at, &bytes[..fits]);
        match fits == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    /// A write that fails has written some beginning.
    pub(super) fn write_in_part(&mut self, id: FileId, bytes: &[u8], at: u64) -> io::Result<()> {
        let part = self.rng.up_to(u32::try_from(bytes.len()).unwrap_or(u32::MAX)) as usize;
        self.write(id, &bytes[..part], at)
    }

    pub(super) fn set_len(&mut self, id: FileId, len: u64) {
        if let (Some(file), Ok(len)) = (self.files.get_mut(&id), usize::try_from(len)) {
            file.set_len(len);
        }
    }

    pub(super) fn sync(&mut self, id: FileId) {
        if let (Syncs::Honest, Some(file)) = (self.syncs, self.files.get_mut(&id)) {
            file.sync();
        }
    }

    pub(super) fn sync_in_part(&mut self, id: FileId) {
        if let Some(file) = self.files.get_mut(&id) {
            file.sync_in_part(&mut self.rng);
        }
    }

    /// Leaves what survives a power failure.
    pub(super) fn lose_power(&mut self, unsynced: Unsynced) {
        let changes = mem::take(&mut self.changes);
        match unsynced {
            Unsynced::Lost => self.names.clone_from(&self.synced_names),
            Unsynced::Kept => self.synced_names.clone_from(&self.names),
            Unsynced::Torn => {
                for change in changes {
                    if self.rng.up_to(1) == 0 {
                        change.apply(&mut self.synced_names);
                    }
                }
                self.names.clone_from(&self.synced_names);
            }
        }
        self.drop_unnamed();
        for file in self.files.values_mut() {
            file.lose_power(unsynced, &self.stale, &mut self.rng);
        }
    }

    /// Frees what no name leads to, once no process has it open.
    pub(super) fn drop_unnamed(&mut self) {
        let created = self.changes.iter().filter_map(|change| match change {
            NameChange::Created(_, id) | NameChange::Renamed(_, _, id) => Some(id),
            NameChange::Unlinked(_) => None,
        });
        let named: BTreeSet<FileId> =
            self.names.values().chain(self.synced_names.values()).chain(created).copied().collect();
        self.files.retain(|id, _| named.contains(id));
    }

    fn new_file(&mut self, file: File) -> FileId {
        let id = FileId(self.next_file);
        self.next_file += 1;
        self.files.insert(id, file);
        id
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("files", &self.files)
            .field("names", &self.names)
            .field("changes", &self.changes)
            .field("capacity", &self.capacity)
            .field("syncs", &self.syncs)
            .finish_non_exhaustive()
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<Name, FileId>) {
        match self {
            Self::Created(name, id) => _ = names.insert(name, id),
            Self::Unlinked(name) => _ = names.remove(&name),
            Self::Renamed(from, to, id) => {
                if names.get(&from) == Some(&id) {
                    names.remove(&from);
                }
                names.insert(to, id);
            }
        }
    }
}

fn place(at: u64) -> io::Result<usize> {
    usize::try_from(at).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
