//! The broker's words in the session's, and back.

use super::Rejection;
use core::time::Duration;
use tenfour_broker::{
    self as broker,
    channel::{self, PublishError, SubscribeError},
};
use tenfour_delivery::{
    log::AppendError,
    number::{Epoch, Offset},
    resume,
};
use tenfour_session::native as session;
use tenfour_wire::native::{self as wire, CloseCode, Refusal, RefusalReason};

/// A client's message in the broker's words; its JSON was checked when it was decoded.
#[must_use]
pub fn from_wire(message: wire::Message) -> broker::Message {
    let body = match message.body {
        wire::Body::Text(text) => broker::Body::Text(text),
        wire::Body::Binary(bytes) => broker::Body::Binary(bytes),
        wire::Body::Json { args, attachments } => broker::Body::Json { args, attachments },
    };
    broker::Message { name: message.name, body }
}

/// A message of the broker as the native protocol writes it. The bytes are shared.
#[must_use]
pub fn to_wire(message: &broker::Message) -> wire::Message {
    let body = match &message.body {
        broker::Body::Text(text) => wire::Body::Text(text.clone()),
        broker::Body::Binary(bytes) => wire::Body::Binary(bytes.clone()),
        broker::Body::Json { args, attachments } => {
            wire::Body::Json { args: args.clone(), attachments: attachments.clone() }
        }
    };
    wire::Message { name: message.name.clone(), body }
}

pub(super) fn to_start(start: session::Start) -> channel::Start {
    match start {
        session::Start::Live => channel::Start::Live,
        session::Start::Earliest => channel::Start::Earliest,
        session::Start::After(position) => channel::Start::After(position),
    }
}

pub(super) fn to_subscription(
    channel: channel::ChannelNumber,
    subscribed: channel::Subscribed,
) -> session::Subscription {
    let (decision, after) = match subscribed.decision {
        resume::Decision::Continue { after } => (session::Decision::Continue, after),
        resume::Decision::Gap { lost, after } => (session::Decision::Gap(lost), after),
        resume::Decision::Reset { lost, after, .. } => (session::Decision::Reset(lost), after),
        // A claim on what was never committed is refused, and no subscription.
        resume::Decision::Ahead { head } => (session::Decision::Continue, head),
    };
    let channel::Subscribed { epoch, head, .. } = subscribed;
    session::Subscription { channel: channel.get(), epoch, decision, after, head }
}

/// What a client is told of its publication.
pub(super) fn to_result(
    epoch: Epoch,
    result: Result<channel::Receipt, PublishError>,
) -> Result<session::Receipt, Refusal> {
    match result {
        Ok(channel::Receipt { epoch, offset, duplicate }) => {
            Ok(session::Receipt { epoch, offset, duplicate })
        }
        // It is in the log, and where is forgotten: no entry has this offset.
        Err(PublishError::Applied) => Ok(session::Receipt { epoch, offset: Offset::START, duplicate: true }),
        Err(error) => Err(publish_refusal(&error)),
    }
}

fn publish_refusal(error: &PublishError) -> Refusal {
    use RefusalReason as R;
    match error {
        PublishError::NoChannel
        | PublishError::TooManyChannels { .. }
        | PublishError::ChannelName { .. }
        | PublishError::Reserved => refusal(R::BadChannel),
        PublishError::TooLarge { .. } => refusal(R::TooLarge),
        PublishError::Full { .. } | PublishError::Busy => overloaded(),
        PublishError::RateLimited { retry_after } => {
            Refusal { retry_after_ms: Some(to_millis(*retry_after)), ..refusal(R::RateLimited) }
        }
        PublishError::Fenced { epoch } => refusal(R::Fenced { epoch: epoch.get() }),
        PublishError::Gap { expected } => refusal(R::Gap { expected: expected.get() }),
        PublishError::Conflict | PublishError::KeyConflict => refusal(R::Conflict),
        PublishError::Indeterminate => refusal(R::Indeterminate),
        PublishError::Log(AppendError::Refused { .. }) => {
            Refusal { retry_after_ms: Some(to_millis(WHEN_BUSY)), ..refusal(R::Unavailable) }
        }
        // Whether it was committed is not known: that is what it says.
        _ => refusal(R::Internal),
    }
}

pub(super) fn subscribe_refusal(error: &SubscribeError) -> Refusal {
    use RefusalReason as R;
    match error {
        SubscribeError::ChannelName { .. } | SubscribeError::Reserved => refusal(R::BadChannel),
        SubscribeError::Exists | SubscribeError::TooMany { .. } => refusal(R::TooMany),
        SubscribeError::TooManySubscribers { .. } | SubscribeError::TooManyChannels { .. } => overloaded(),
        SubscribeError::Ahead { .. } => refusal(R::Ahead),
        _ => refusal(R::Internal),
    }
}

pub(super) const fn refusal(reason: RefusalReason) -> Refusal {
    Refusal { reason, retry_after_ms: None }
}

pub(super) fn overloaded() -> Refusal {
    Refusal { retry_after_ms: Some(to_millis(WHEN_BUSY)), ..refusal(RefusalReason::Overloaded) }
}

pub(super) fn rejection(code: CloseCode) -> Rejection {
    let retry_after = (code == CloseCode::Overloaded).then_some(WHEN_BUSY);
    Rejection { code, retry_after, reason: Default::default() }
}

/// How long to wait where nothing says when there will be room.
const WHEN_BUSY: Duration = Duration::from_secs(1);

/// Rounded up, so that nobody comes too early.
fn to_millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u32::MAX)
}
