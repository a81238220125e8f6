//! The disk as processes see it.

use std::{
    any::Any,
    fmt, io,
    sync::{Arc, Mutex},
};

use tenfour_log::vfs::{File, Open, Vfs};

use super::{
    Call,
    image::{FileId, Name},
    lock,
    machine::{Boot, Fate, Machine},
};

/// The directory, for the processes of one boot.
pub(super) struct Directory(Process);

/// A file that such a process has open.
struct OpenFile {
    process: Process,
    id: FileId,
}

/// The directory's lock.
struct Lock(Process);

#[derive(Clone)]
struct Process {
    machine: Arc<Mutex<Machine>>,
    boot: Boot,
}

impl Directory {
    pub(super) fn new(machine: Arc<Mutex<Machine>>, boot: Boot) -> Self {
        Self(Process { machine, boot })
    }
}

impl Process {
    /// Lets a call meet its fate: `act` does what is done of it.
    fn call<T>(&self, call: Call, act: impl FnOnce(&mut Machine, Fate) -> io::Result<T>) -> io::Result<T> {
        let mut machine = lock(&self.machine);
        let fate = machine.begin(self.boot, call)?;
        let done = act(&mut machine, fate)?;
        fate.answer()?;
        Ok(done)
    }

    /// A call that changes nothing.
    fn look<T>(&self, call: Call, see: impl FnOnce(&Machine) -> io::Result<T>) -> io::Result<T> {
        self.call(call, |machine, fate| fate.answer().and_then(|()| see(machine)))
    }

    /// A call that changes names: one that fails changes none, one that is interrupted did it, un-synced.
    fn change<T>(&self, call: Call, act: impl FnOnce(&mut Machine) -> io::Result<T>) -> io::Result<T> {
        self.call(call, |machine, fate| match fate {
            Fate::Fails(error) => Err(error.into()),
            Fate::Succeeds | Fate::Interrupted => act(machine),
        })
    }

    fn open(&self, id: FileId) -> Arc<dyn File> {
        Arc::new(OpenFile { process: self.clone(), id })
    }
}

impl Vfs for Directory {
    fn open(&self, name: &str, mode: Open) -> io::Result<Arc<dyn File>> {
        let name = Name::new(name)?;
        let id = match mode {
            Open::Existing => self.0.look(Call::Look, |machine| machine.image.find(&name)),
            Open::Create => self.0.change(Call::Create, |machine| machine.image.create(name)),
        };
        id.map(|id| self.0.open(id))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.look(Call::Look, |machine| Ok(machine.image.names()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (Name::new(from)?, Name::new(to)?);
        self.0.change(Call::Rename, |machine| machine.image.rename(from, to))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        let name = Name::new(name)?;
        self.0.change(Call::Unlink, |machine| machine.image.unlink(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0.call(Call::SyncDir, |machine, fate| {
            if fate == Fate::Succeeds {
                machine.image.sync_names();
            }
            Ok(())
        })
    }

    fn lock(&self) -> io::Result<Box<dyn Any + Send + Sync>> {
        lock(&self.0.machine).lock(self.0.boot)?;
        Ok(Box::new(Lock(self.0.clone())))
    }
}

impl File for OpenFile {
    fn len(&self) -> io::Result<u64> {
        self.process.look(Call::Read, |machine| Ok(machine.image.len(self.id)))
    }

    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        self.process.look(Call::Read, |machine| Ok(machine.image.read(self.id, buf, at)))
    }

    fn write_at(&self, buf: &[u8], at: u64) -> io::Result<()> {
        self.process.call(Call::Write, |machine, fate| match fate {
            Fate::Succeeds | Fate::Interrupted => machine.image.write(self.id, buf, at),
            Fate::Fails(_) => machine.image.write_in_part(self.id, buf, at),
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.process.change(Call::SetLen, |machine| {
            machine.image.set_len(self.id, len);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.process.call(Call::SyncData, |machine, fate| {
            match fate {
                Fate::Succeeds => machine.image.sync(self.id),
                Fate::Fails(_) => machine.image.sync_in_part(self.id),
                Fate::Interrupted => {}
            }
            Ok(())
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        lock(&self.0.machine).unlock(self.0.boot);
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Directory").field(&self.0.boot).finish()
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenFile").field(&self.id).field(&self.process.boot).finish()
    }
}
