//! A client of the native protocol.

mod store;

pub use store::{
    CursorStore, FileCursors, FileOutbox, Flush, MemoryCursors, MemoryOutbox, Outbox, OutboxFull, Pending,
    StoreError,
};
