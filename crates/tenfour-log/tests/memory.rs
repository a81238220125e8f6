//! What the log in memory takes from the allocator, beside what it says of itself.

use bytes::Bytes;
use bytestring::ByteString;
use tenfour_counting_alloc::held;
use tenfour_delivery::{number::Epoch, time::WallTime};
use tenfour_log::{Log, Memory, Record, Retention, Ticket};

const ENTRIES: usize = 20_000;

#[test]
fn what_it_holds_is_about_what_it_counts() {
    for (channels, each, payload) in [(1, 1, 32), (100, 1, 32), (100, 1, 1_000), (100, 16, 32)] {
        let mut log = Memory::new(Epoch::new(1), Retention::default());
        let before = held();
        for number in 0..ENTRIES {
            let names = (number..number + each).map(|place| format!("channel {}", place % channels).into());
            append(&mut log, names.collect(), Bytes::from(vec![7; payload]));
        }
        let (held, counted) = (held() - before, log.bytes() as i64);
        println!("{each} of {channels} channels, {payload} bytes: {held} held, {counted} counted");
        assert!(held <= counted + counted / 10, "{held} held, {counted} counted");
    }
}

/// A name that was cut out of a read buffer keeps all of that buffer, for as long as the name is kept.
#[test]
fn a_name_does_not_keep_the_buffer_that_it_came_in() {
    let mut log = Memory::new(Epoch::new(1), Retention::default());
    let before = held();
    for number in 0..100 {
        let mut buffer = format!("channel {}", number % 10).into_bytes();
        buffer.resize(65_536, 0);
        let name = ByteString::try_from(Bytes::from(buffer).slice(..9)).expect("ASCII");
        append(&mut log, vec![name], Bytes::from_static(b"hello"));
    }
    assert!(held() - before < 65_536, "{} bytes", held() - before);
}

fn append(log: &mut Memory, channels: Vec<ByteString>, payload: Bytes) {
    let ingested = WallTime::default();
    let record = Record { channels, producer: None, ingested, expires: None, payload };
    log.append(Ticket(0), vec![record]);
    log.poll().expect("memory answers at once").result.expect("it refuses nothing");
}
