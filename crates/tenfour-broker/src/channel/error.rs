//! Why a call is refused.

use alloc::string::String;

use core::time::Duration;

use tenfour_delivery::{
    log::AppendError,
    number::{Offset, ProducerEpoch, ProducerSequence},
};

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// No channel was named.
    #[error("a publication names at least one channel")]
    NoChannel,
    /// Too many channels were named.
    #[error(
        "a publication names at most {limit} channels; publish it several times, or raise `Config::channels_per_publication`"
    )]
    TooManyChannels {
        /// [`Config::channels_per_publication`](super::Config::channels_per_publication).
        limit: usize,
    },
    /// A channel's name is empty or too long.
    #[error(
        "a channel's name of {length} bytes is not within 1 to {limit}; change it, or raise `Config::channel_name_bytes`"
    )]
    ChannelName {
        /// Bytes of the name.
        length: usize,
        /// [`Config::channel_name_bytes`](super::Config::channel_name_bytes).
        limit: usize,
    },
    /// A channel is one of the namespace's own.
    #[error("a channel's name may not begin with U+0000: such ones are the namespace's own; choose another")]
    Reserved,
    /// Too many rooms are excepted.
    #[error(
        "a publication excepts at most {limit} rooms; put their members into one, or raise `Config::excepts_per_publication`"
    )]
    TooManyExcepts {
        /// [`Config::excepts_per_publication`](super::Config::excepts_per_publication).
        limit: usize,
    },
    /// The message is too large.
    #[error("a message of {length} bytes is over {limit}; send less, or raise `Config::message_bytes`")]
    TooLarge {
        /// Bytes of the message's storage form.
        length: usize,
        /// [`Config::message_bytes`](super::Config::message_bytes).
        limit: usize,
    },
    /// Too many publications wait for their commit, or to be polled, or they have too many bytes.
    #[error(
        "as much is in flight as may be, {limit} publications or bytes; publish again when one is answered, or raise `Config::in_flight` or `Config::in_flight_bytes`"
    )]
    Full {
        /// [`Config::in_flight`](super::Config::in_flight) or
        /// [`Config::in_flight_bytes`](super::Config::in_flight_bytes), whichever was reached.
        limit: usize,
    },
    /// The publisher is over its rate. The message's number is not used up.
    #[error("over the rate; publish the same again after {retry_after:?}, or raise `Config::rate`")]
    RateLimited {
        /// When it would be accepted.
        retry_after: Duration,
    },
    /// A later life of the producer has published, so this one is over.
    #[error("epoch {epoch} of the producer has published; this one is over, stop it")]
    Fenced {
        /// The later life.
        epoch: ProducerEpoch,
    },
    /// A number was left out.
    #[error("number {expected} of the producer comes next; publish that first")]
    Gap {
        /// The number that comes next.
        expected: ProducerSequence,
    },
    /// The number was used for another message.
    #[error("the producer's number was used for another message; give each message its own")]
    Conflict,
    /// The key was used for another message.
    #[error("the key was used for another message; give each message its own")]
    KeyConflict,
    /// The publication has a producer's number and a key.
    #[error("a message is known by its producer's number or by its key, not by both; leave one away")]
    TwoNames,
    /// What the producer published is no longer known, so it cannot be said whether this message is in the log.
    #[error(
        "it is no longer known whether the message was published; look, or begin a new epoch of the producer"
    )]
    Indeterminate,
    /// The message is in the log, where its offset is no longer known.
    #[error("the message was published long ago, where is no longer known; count it as published")]
    Applied,
    /// Too many of the producer's messages are in flight, or too many producers or keys are remembered.
    #[error(
        "too many messages of the producer are in flight, or too many producers or keys are known; publish it again later"
    )]
    Busy,
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] AppendError),
}

/// Why a message that is sent at most once was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The sender is over its rate.
    #[error(
        "over the rate, so the message is dropped; send the next after {retry_after:?}, or raise `Config::rate`"
    )]
    RateLimited {
        /// When one would be accepted.
        retry_after: Duration,
    },
}

/// Why there is no subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The subscriber has it already.
    #[error("the subscriber has a subscription to this channel; use it, or end it first")]
    Exists,
    /// The channel's name is empty or too long.
    #[error(
        "a channel's name of {length} bytes is not within 1 to {limit}; change it, or raise `Config::channel_name_bytes`"
    )]
    ChannelName {
        /// Bytes of the name.
        length: usize,
        /// [`Config::channel_name_bytes`](super::Config::channel_name_bytes).
        limit: usize,
    },
    /// The channel is one of the namespace's own.
    #[error("a channel's name may not begin with U+0000: such ones are the namespace's own; choose another")]
    Reserved,
    /// The subscriber has as many as it may have.
    #[error(
        "the subscriber has {limit} subscriptions; end one first, or raise `Config::subscriptions_per_subscriber`"
    )]
    TooMany {
        /// [`Config::subscriptions_per_subscriber`](super::Config::subscriptions_per_subscriber).
        limit: usize,
    },
    /// There are as many subscribers as there may be.
    #[error("there are {limit} subscribers; try again later, or raise `Config::subscribers`")]
    TooManySubscribers {
        /// [`Config::subscribers`](super::Config::subscribers).
        limit: usize,
    },
    /// There are as many channels with subscribers as there may be.
    #[error("{limit} channels have subscribers; try again later, or raise `Config::channels`")]
    TooManyChannels {
        /// [`Config::channels`](super::Config::channels).
        limit: usize,
    },
    /// The position is beyond the channel's last entry: a claim on what was never committed.
    #[error("the position is beyond {head}, the channel's last entry; it is not of this log")]
    Ahead {
        /// The channel's last entry.
        head: Offset,
    },
}

/// Why an acknowledgement is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AcknowledgeError {
    /// There is no such subscription.
    #[error("there is no such subscription; it has ended, so drop what it still says")]
    Unknown,
    /// It was never handed over.
    #[error(
        "{processed} is said to be processed and {delivered} is the last that was delivered: refuse the subscriber"
    )]
    FromFuture {
        /// What is said to be processed.
        processed: Offset,
        /// The last offset that was handed over.
        delivered: Offset,
    },
}

/// Why bytes are not a stored message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// Another version wrote it.
    #[error(
        "version {found} of the storage form is not known here; read the log with the version that wrote it"
    )]
    Version {
        /// The version it says.
        found: u8,
    },
    /// It is damaged.
    #[error("not a stored message ({reason}); the log is damaged")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}
