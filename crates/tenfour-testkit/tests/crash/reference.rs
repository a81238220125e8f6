//! The simplest log that keeps its promises: one file that only grows, a checksum over each append. With it the suite is
//! tested itself: it has to accept this log, and to find out each of the flaws that it can be given.

use std::{collections::VecDeque, io, mem, sync::Arc};

use bytes::{Buf as _, BufMut as _, Bytes};
use bytestring::ByteString;
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use tenfour_log::{
    AppendError, Completion, Epoch, History, Log, Memory, Offset, Page, Query, ReadError, Record, Ticket,
    WallTime,
    disk::Commit,
    vfs::{File, Open, Vfs},
};

use crate::{
    named::{SEEDS, torn_group},
    script::{CHANNELS, Setup, Step, setups, steps},
    subject::Subject,
    world::World,
};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// It answers before its file is synced.
    SyncsNoFile,
    SyncsNoDirectory,
    /// It believes what it reads.
    ChecksNothing,
    /// It leaves what lies behind the last valid append where it is.
    LeavesTail,
    /// It takes an error for the end of the file.
    EndsAtError,
    /// It saves each record by itself.
    SplitsAppends,
    /// It goes on after a failed sync.
    RetriesSync,
    /// It opens as valid what a process before it wrote and could not sync.
    TrustsCache,
    /// It says that nothing was written although something was.
    RefusesWithoutUndoing,
}

struct Reference {
    flaw: Flaw,
    file: Arc<dyn File>,
    end: u64,
    memory: Memory,
    pending: VecDeque<(Ticket, Vec<Record>)>,
    answers: VecDeque<Completion>,
    failure: Option<String>,
}

impl Subject for Reference {
    type Flaw = Flaw;
    type Error = io::Error;

    fn open(vfs: Arc<dyn Vfs>, setup: &Setup, flaw: Flaw) -> io::Result<Self> {
        let mut log = Self::open_file(&*vfs, setup, flaw)?;
        log.recover()?;
        Ok(log)
    }

    fn commit(&mut self) {
        let appends = mem::take(&mut self.pending);
        let frames: Vec<u8> = appends.iter().flat_map(|(_, records)| self.encode(records)).collect();
        let saved = match self.failure.clone() {
            Some(reason) => Err(AppendError::Failed { reason }),
            None if frames.is_empty() => return,
            None => self.save(&frames),
        };
        for (ticket, records) in appends {
            match &saved {
                Ok(()) => self.memory.append(ticket, records),
                Err(error) => self.answers.push_back(Completion { ticket, result: Err(error.clone()) }),
            }
            self.answers.extend(Log::poll(&mut self.memory));
        }
    }
}

impl Reference {
    fn open_file(vfs: &dyn Vfs, setup: &Setup, flaw: Flaw) -> io::Result<Self> {
        let file = match vfs.open("log", Open::Existing) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => vfs.open("log", Open::Create)?,
            file => file?,
        };
        if flaw != Flaw::SyncsNoDirectory {
            vfs.sync_dir()?;
        }
        Ok(Self {
            flaw,
            file,
            end: 0,
            memory: Memory::new(Epoch::new(1), setup.retention.clone()),
            pending: VecDeque::new(),
            answers: VecDeque::new(),
            failure: None,
        })
    }

    fn recover(&mut self) -> io::Result<()> {
        let mut held = vec![0; self.file.len()? as usize];
        match self.file.read_at(&mut held, 0) {
            Err(_) if self.flaw == Flaw::EndsAtError => held.clear(),
            read => _ = read?,
        }
        let mut rest = &held[..];
        while let Some(records) = decode(&mut rest, self.flaw) {
            self.memory.append(Ticket(0), records);
            self.memory.poll();
            self.end = (held.len() - rest.len()) as u64;
        }
        if self.flaw != Flaw::LeavesTail {
            self.file.set_len(self.end)?;
        }
        if self.flaw != Flaw::TrustsCache {
            // What a failed sync left in memory alone is to be written again.
            self.file.write_at(&held[..self.end as usize], 0)?;
        }
        self.file.sync_data()
    }

    fn encode(&self, records: &[Record]) -> Vec<u8> {
        match self.flaw {
            Flaw::SplitsAppends => records.chunks(1).flat_map(encode).collect(),
            _ => encode(records),
        }
    }

    fn save(&mut self, frames: &[u8]) -> Result<(), AppendError> {
        let saved = self.file.write_at(frames, self.end).and_then(|()| match self.flaw {
            Flaw::SyncsNoFile => Ok(()),
            Flaw::RetriesSync => self.file.sync_data().or_else(|_| self.file.sync_data()),
            _ => self.file.sync_data(),
        });
        let undo = || self.file.set_len(self.end).and_then(|()| self.file.sync_data());
        match saved {
            Ok(()) => {
                self.end += frames.len() as u64;
                Ok(())
            }
            Err(error) if self.flaw == Flaw::RefusesWithoutUndoing => {
                self.end += frames.len() as u64;
                Err(AppendError::Refused { reason: error.to_string() })
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull && undo().is_ok() => {
                Err(AppendError::Refused { reason: error.to_string() })
            }
            Err(error) => {
                self.failure = Some(error.to_string());
                Err(AppendError::Failed { reason: error.to_string() })
            }
        }
    }
}

/// Length, checksum, and the records.
fn encode(records: &[Record]) -> Vec<u8> {
    let mut body = Vec::new();
    for record in records {
        let mask = CHANNELS
            .iter()
            .enumerate()
            .map(|(place, name)| u8::from(record.channels.iter().any(|channel| channel == name)) << place);
        body.put_u8(mask.sum());
        body.put_u64(record.ingested.as_unix_millis());
        body.put_u64(record.expires.map_or(0, WallTime::as_unix_millis));
        body.put_u32(record.payload.len() as u32);
        body.put_slice(&record.payload);
    }
    let mut frame = Vec::new();
    frame.put_u32(body.len() as u32);
    frame.put_u32(crc32fast::hash(&body));
    frame.extend(body);
    frame
}

fn decode(rest: &mut &[u8], flaw: Flaw) -> Option<Vec<Record>> {
    let mut frame = *rest;
    let (len, sum) = (frame.try_get_u32().ok()? as usize, frame.try_get_u32().ok()?);
    let mut body = frame.get(..len).filter(|body| !body.is_empty())?;
    *rest = &frame[len..];
    if crc32fast::hash(body) != sum && flaw != Flaw::ChecksNothing {
        return None;
    }
    let mut records = Vec::new();
    while body.has_remaining() {
        let mask = body.try_get_u8().ok()?;
        let (ingested, expires) = (body.try_get_u64().ok()?, body.try_get_u64().ok()?);
        let len = body.try_get_u32().ok()? as usize;
        let payload = Bytes::copy_from_slice(body.get(..len)?);
        body.advance(len);
        let named = CHANNELS.iter().enumerate().filter(|(place, _)| mask >> place & 1 == 1);
        records.push(Record {
            channels: named.map(|(_, name)| ByteString::from_static(name)).collect(),
            producer: None,
            ingested: WallTime::from_unix_millis(ingested),
            expires: (expires > 0).then(|| WallTime::from_unix_millis(expires)),
            payload,
        });
    }
    Some(records)
}

impl Log for Reference {
    fn epoch(&self) -> Epoch {
        self.memory.epoch()
    }

    fn head(&self) -> Offset {
        self.memory.head()
    }

    fn append(&mut self, ticket: Ticket, records: Vec<Record>) {
        self.pending.push_back((ticket, records));
    }

    fn poll(&mut self) -> Option<Completion> {
        self.answers.pop_front()
    }

    fn read(&self, query: &Query) -> Result<Page, ReadError> {
        self.memory.read(query)
    }

    fn history(&self, channel: &str) -> History {
        self.memory.history(channel)
    }

    fn trim(&mut self, now: WallTime) {
        self.memory.trim(now);
    }

    fn release(&mut self, channel: &str, through: Offset) {
        self.memory.release(channel, through);
    }
}

/// Always the same scripts: a flaw is found, or it is not. What the smallest script is that shows it is of no interest.
fn runner(cases: u32) -> TestRunner {
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// What the suite says of a log with this flaw.
fn verdict(flaw: Flaw, cases: u32) -> Result<(), String> {
    let run = |(seed, setup, steps): (u64, Setup, Vec<Step>)| {
        let mut world = World::<Reference>::new(seed, &setup, flaw)?;
        world.run(&steps)?;
        world.finish()?;
        Ok(())
    };
    runner(cases)
        .run(&(any::<u64>(), setups(Commit::Manual), steps()), run)
        .map_err(|error| error.to_string())
}

#[test]
fn a_simple_log_without_a_flaw_passes() {
    verdict(Flaw::None, 256).expect("it keeps what it promises");
}

#[test]
fn each_flaw_is_found_out() {
    for flaw in [
        Flaw::SyncsNoFile,
        Flaw::SyncsNoDirectory,
        Flaw::ChecksNothing,
        Flaw::EndsAtError,
        Flaw::SplitsAppends,
        Flaw::RetriesSync,
        Flaw::TrustsCache,
        Flaw::RefusesWithoutUndoing,
    ] {
        assert!(verdict(flaw, 2_000).is_err(), "{flaw:?} is not found");
    }
}

#[test]
fn a_tail_that_is_left_is_found_out() {
    let verdicts = |flaw| (0..SEEDS).map(move |seed| torn_group::<Reference>(seed, flaw));
    assert!(verdicts(Flaw::LeavesTail).any(|verdict| verdict.is_err()));
    assert!(verdicts(Flaw::None).all(|verdict| verdict.is_ok()));
}
