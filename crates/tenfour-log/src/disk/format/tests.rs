use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const SEED: u32 = 0x1234_5678;

fn entries() -> impl Strategy<Value = Entry> {
    let producer = (any::<u128>(), any::<u32>(), any::<u64>()).prop_map(|(id, epoch, sequence)| Producer {
        id: ProducerId::new(id),
        epoch: ProducerEpoch::new(epoch),
        sequence: ProducerSequence::new(sequence),
    });
    let channels = prop::collection::vec((".{0,12}", any::<u64>()), 0..5);
    let times = (any::<u64>(), prop::option::of(any::<u64>()));
    let payload = prop::collection::vec(any::<u8>(), 0..200);
    (1..u64::MAX, prop::option::of(producer), channels, times, payload).prop_map(
        |(offset, producer, channels, (ingested, expires), payload)| {
            let (channels, previous) =
                channels.into_iter().map(|(name, before)| (name.into(), Offset::new(before))).unzip();
            let record = Record {
                channels,
                producer,
                ingested: WallTime::from_unix_millis(ingested),
                expires: expires.map(WallTime::from_unix_millis),
                payload: Bytes::from(payload),
            };
            Entry { offset: Offset::new(offset), previous, record }
        },
    )
}

fn controls() -> impl Strategy<Value = Control> {
    let offset = || any::<u64>().prop_map(Offset::new);
    let heads = prop::collection::vec((".{0,12}".prop_map(ByteString::from), offset()), 0..5);
    prop_oneof![
        heads.prop_map(Control::Heads),
        (offset(), offset()).prop_map(|(base, forgotten)| Control::Trim { base, forgotten }),
        (".{0,12}".prop_map(ByteString::from), offset())
            .prop_map(|(channel, through)| Control::Release { channel, through }),
        offset().prop_map(Control::Floor),
        Just(Control::Mark),
    ]
}

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Writer { to: &mut bytes, seed: SEED, committed: Offset::new(7) });
    bytes
}

proptest! {
    #[test]
    fn an_entry_is_read_as_it_was_written(entry in entries(), more in any::<bool>(), behind in prop::collection::vec(any::<u8>(), 0..9)) {
        let mut bytes = written(|to| to.entry(&entry, more));
        prop_assert_eq!(bytes.len(), entry_length(&entry.record));
        bytes.extend(behind);
        let record = check(&bytes, SEED).expect("it is whole");
        prop_assert_eq!((record.offset, record.committed), (entry.offset, Offset::new(7)));
        prop_assert!(is_likely(&bytes, entry.offset, Offset::new(entry.offset.get() + 1)));
        let Some(Content::Entry(view)) = record.content() else { panic!("{record:?}") };
        prop_assert_eq!((view.more, view.payload_length()), (more, entry.record.payload.len()));
        prop_assert_eq!(view.to_entry(entry.offset, |name| name.into()), entry);
    }

    #[test]
    fn a_control_is_read_as_it_was_written(control in controls()) {
        let bytes = written(|to| to.control(&control, Offset::new(9)));
        prop_assert_eq!(bytes.len(), control_length(&control));
        let record = check(&bytes, SEED).expect("it is whole");
        prop_assert!(matches!(record.content(), Some(Content::Control(read)) if read == control));
    }

    #[test]
    fn a_record_with_a_byte_changed_or_missing_is_none(entry in entries(), place in any::<prop::sample::Index>(), by in 1..=255_u8) {
        let bytes = written(|to| to.entry(&entry, false));
        let place = place.index(bytes.len());
        prop_assert!(check(&bytes[..place], SEED).is_none());
        let mut changed = bytes.clone();
        changed[place] ^= by;
        prop_assert!(check(&changed, SEED).is_none());
        prop_assert!(check(&bytes, SEED + 1).is_none(), "nor is one of another segment");
    }

    /// Whatever the checksum says, bytes are read within their bounds.
    #[test]
    fn no_bytes_are_a_danger(kind in 0..9_u8, rest in prop::collection::vec(any::<u8>(), 0..80)) {
        let bytes = written(|to| to.record(kind, Offset::new(1), |to| to.extend_from_slice(&rest)));
        if let Some(Content::Entry(view)) = check(&bytes, SEED).and_then(|record| record.content()) {
            let entry = view.to_entry(Offset::new(1), |name| name.into());
            prop_assert_eq!(written(|to| to.entry(&entry, view.more)), bytes, "one way to write it");
        }
    }
}

/// What version 1 is, byte by byte: logs are written in it. The bytes were made by another program, after the tables alone.
#[test]
fn the_format_stays_as_it_is() {
    let header = Header {
        epoch: Epoch::new(0x0102_0304_0506_0708),
        id: 3,
        after: 2,
        first: Offset::new(40),
        base: Offset::new(1),
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&header.encode()), HEADER_BYTES);
    assert_eq!(Header::decode(&header.encode()), ReadHeader::Valid(header));
    let record = Record {
        channels: vec!["a".into(), "\0notes".into()],
        producer: Some(Producer {
            id: ProducerId::new(5),
            epoch: ProducerEpoch::new(6),
            sequence: ProducerSequence::new(8),
        }),
        ingested: WallTime::from_unix_millis(1_000),
        expires: Some(WallTime::from_unix_millis(2_000)),
        payload: Bytes::from_static(b"hello"),
    };
    let entry = Entry { offset: Offset::new(41), previous: vec![Offset::new(40), Offset::START], record };
    let mut bytes = Vec::new();
    let mut writer = Writer { to: &mut bytes, seed: header.seed(), committed: Offset::new(39) };
    writer.entry(&entry, true);
    writer.control(&Control::Mark, Offset::new(42));
    assert_eq!(hex(&bytes), RECORD_BYTES);
}

const HEADER_BYTES: &str = "31302d34206c6f6701000000000000000807060504030201030000000000000002000000000000002800000000000000\
    01000000000000003181dbb500000000";
const RECORD_BYTES: &str = "600000000026d11e012900000000000000270000000000000007e803000000000000d007000000000000050000000000\
    00000000000000000000060000000800000000000000020001006128000000000000000600006e6f7465730000000000\
    00000068656c6c6f110000003f00dc2b062a000000000000002700000000000000";
