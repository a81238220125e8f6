//! What both codecs are measured on: five packets, as a peer sends them and as an application holds them.

pub mod load;
pub mod native;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The argument of a chat event of some twenty bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Small {
    /// Who.
    pub user: String,
    /// How many.
    pub count: u32,
}

/// One record of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// A number of seven digits.
    pub id: u64,
    /// A name, with letters beyond ASCII here and there.
    pub name: String,
    /// A sentence, with an escape here and there.
    pub text: String,
    /// A coordinate.
    pub latitude: f64,
    /// Another.
    pub longitude: f64,
    /// Short words.
    pub tags: Vec<String>,
    /// A flag.
    pub active: bool,
    /// Nothing, mostly.
    pub parent: Option<u64>,
}

/// Two blobs and their name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    /// The name.
    pub name: String,
    /// The first blob.
    pub image: Bytes,
    /// The second.
    pub preview: Bytes,
}

/// A small argument.
pub fn small() -> Small {
    Small { user: "alice".into(), count: 7 }
}

/// A list whose JSON text is about this many bytes.
pub fn records(json_bytes: usize) -> Vec<Record> {
    let mut records = Vec::new();
    let mut bytes = 0;
    while bytes < json_bytes {
        let record = record(records.len() as u64);
        bytes += serde_json::to_string(&record).expect("a record is JSON").len() + 1;
        records.push(record);
    }
    records
}

fn record(index: u64) -> Record {
    Record {
        id: 1_000_000 + index * 37,
        name: if index.is_multiple_of(5) { "Zoë Müller".into() } else { format!("User {index}") },
        text: if index.is_multiple_of(4) {
            "She said \"ten-four\",\nand hung up.".into()
        } else {
            "The quick brown fox jumps over the lazy dog, twice.".into()
        },
        latitude: 52.520008 + index as f64 * 0.0137,
        longitude: -13.404954 + index as f64 * 0.0211,
        tags: vec!["alpha".into(), "beta".into(), format!("t{index}")],
        active: !index.is_multiple_of(3),
        parent: index.is_multiple_of(2).then_some(index * 11),
    }
}

/// An argument with two attachments of 1 KiB.
pub fn upload() -> Upload {
    let blob = |seed: u8| (0..1024).map(|index: usize| (index as u8).wrapping_mul(seed)).collect();
    Upload { name: "cat.png".into(), image: blob(7), preview: blob(13) }
}
