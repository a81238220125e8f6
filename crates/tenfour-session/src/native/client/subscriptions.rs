//! What a client subscribes to, by name, and where it is in each channel, by number.

use super::super::{Decision, Start, Subscription};
use alloc::{collections::BTreeMap, vec::Vec};
use bytestring::ByteString;
use tenfour_delivery::{
    cursor::{Broken, Cursor},
    number::{Epoch, Offset},
    resume::Position,
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Subscriptions {
    names: BTreeMap<ByteString, Wish>,
    channels: BTreeMap<u32, Channel>,
    next_request: u64,
    /// Whether any may be [`Wish::Wanted`].
    is_wanting: bool,
}

/// ```text
/// Wanted ──SUBSCRIBE goes out──▶ Asked ──SUBSCRIBED──▶ Active ──unsubscribe()──▶ Leaving ──UNSUBSCRIBED──▶ gone
///   ▲ └──unsubscribe()──▶ gone     │ │                   │                         │
///   │                              │ └──refused──▶ gone  └──UNSUBSCRIBED──▶ gone   └──subscribe(), UNSUBSCRIBED──┐
///   └──────────the session is gone─┴─────────────────────┘                                                       │
///   └────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wish {
    /// To be asked for as soon as frames flow.
    Wanted(From),
    /// Asked for; `leaving` if it is not wanted any more.
    Asked { request: u64, from: From, leaving: bool },
    /// There, as this channel.
    Active(u32),
    /// Asked to end; `again` if it is wanted once more.
    Leaving { channel: u32, again: Option<Start> },
}

/// Where a subscription begins, or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum From {
    Start(Start),
    /// Behind what was received in an earlier session.
    Cursor(Cursor),
}

impl From {
    pub(super) fn start(self) -> Start {
        match self {
            Self::Start(start) => start,
            Self::Cursor(cursor) => Start::After(cursor.received()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Channel {
    pub(super) name: ByteString,
    pub(super) cursor: Cursor,
    /// Whether the application has said that it wants no more.
    pub(super) muted: bool,
}

/// What became of a wish to end a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// There was none, or it had not been asked for: nothing follows.
    Gone,
    /// The server is to be told, now or once it has answered.
    Ask(u32),
    Later,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The application wants a channel. One that it has goes on as it is.
    pub(super) fn want(&mut self, name: ByteString, start: Start) {
        match self.names.get_mut(&name) {
            None => {
                self.names.insert(name, Wish::Wanted(From::Start(start)));
                self.is_wanting = true;
            }
            Some(Wish::Asked { leaving, .. }) => *leaving = false,
            Some(Wish::Leaving { again, .. }) => *again = Some(start),
            Some(Wish::Wanted(_) | Wish::Active(_)) => {}
        }
    }

    /// The application wants a channel no more.
    pub(super) fn leave(&mut self, name: &str) -> Left {
        match self.names.get_mut(name) {
            None => Left::Gone,
            Some(Wish::Wanted(_)) => {
                self.names.remove(name);
                Left::Gone
            }
            Some(Wish::Asked { leaving, .. }) => {
                *leaving = true;
                Left::Later
            }
            Some(wish @ &mut Wish::Active(channel)) => {
                *wish = Wish::Leaving { channel, again: None };
                self.mute(channel);
                Left::Ask(channel)
            }
            Some(Wish::Leaving { again, .. }) => {
                *again = None;
                Left::Later
            }
        }
    }

    fn mute(&mut self, channel: u32) {
        if let Some(channel) = self.channels.get_mut(&channel) {
            channel.muted = true;
        }
    }

    /// What is to be asked for, which counts as asked for.
    pub(super) fn ask(&mut self) -> Vec<(u64, ByteString, Start)> {
        let mut asked = Vec::new();
        if !core::mem::take(&mut self.is_wanting) {
            return asked;
        }
        for (name, wish) in &mut self.names {
            if let Wish::Wanted(from) = *wish {
                let request = self.next_request;
                self.next_request += 1;
                *wish = Wish::Asked { request, from, leaving: false };
                asked.push((request, name.clone(), from.start()));
            }
        }
        asked
    }

    fn asked(&self, request: u64) -> Option<(ByteString, From, bool)> {
        self.names.iter().find_map(|(name, wish)| match *wish {
            Wish::Asked { request: asked, from, leaving } if asked == request => {
                Some((name.clone(), from, leaving))
            }
            _ => None,
        })
    }

    /// A wish was refused. Says for which channel; `None` if nobody waits.
    pub(super) fn refused(&mut self, request: u64) -> Option<ByteString> {
        let (name, ..) = self.asked(request)?;
        self.names.remove(&name);
        Some(name)
    }

    /// A wish was granted. Says for which channel, and whether it is not wanted any more; `None` if nobody waits.
    pub(super) fn begun(
        &mut self,
        request: u64,
        subscription: &Subscription,
    ) -> Result<Option<(ByteString, bool)>, Broken> {
        let Some((name, from, leaving)) = self.asked(request) else { return Ok(None) };
        let cursor = cursor(from, subscription)?;
        let wish = match leaving {
            true => Wish::Leaving { channel: subscription.channel, again: None },
            false => Wish::Active(subscription.channel),
        };
        self.names.insert(name.clone(), wish);
        self.channels.insert(subscription.channel, Channel { name: name.clone(), cursor, muted: leaving });
        Ok(Some((name, leaving)))
    }

    /// A subscription has ended. Says which.
    pub(super) fn ended(&mut self, channel: u32) -> Option<ByteString> {
        let Channel { name, .. } = self.channels.remove(&channel)?;
        match self.names.get_mut(&name) {
            Some(wish @ &mut Wish::Leaving { again: Some(start), .. }) => {
                *wish = Wish::Wanted(From::Start(start));
                self.is_wanting = true;
            }
            _ => _ = self.names.remove(&name),
        }
        Some(name)
    }

    /// The session is gone: what there was is wanted again, from where it was.
    pub(super) fn rebase(&mut self) {
        self.is_wanting = true;
        let channels = core::mem::take(&mut self.channels);
        self.names.retain(|_, wish| {
            let from = match *wish {
                Wish::Wanted(from) | Wish::Asked { from, leaving: false, .. } => from,
                Wish::Active(number) => match channels.get(&number) {
                    Some(channel) => From::Cursor(channel.cursor),
                    None => return false,
                },
                Wish::Leaving { again: Some(start), .. } => From::Start(start),
                Wish::Asked { leaving: true, .. } | Wish::Leaving { again: None, .. } => return false,
            };
            *wish = Wish::Wanted(from);
            true
        });
    }

    /// The channel of a number, if its messages are wanted.
    pub(super) fn heard(&mut self, channel: u32) -> Option<&mut Channel> {
        self.channels.get_mut(&channel).filter(|channel| !channel.muted)
    }

    /// The channel of a name, with its number.
    pub(super) fn active(&mut self, name: &str) -> Option<(u32, &mut Channel)> {
        match self.names.get(name) {
            Some(&Wish::Active(number)) => Some((number, self.channels.get_mut(&number)?)),
            _ => None,
        }
    }

    /// What the application has processed, if the channel was ever there.
    pub(super) fn position(&self, name: &str) -> Option<Position> {
        match self.names.get(name)? {
            Wish::Active(number) | Wish::Leaving { channel: number, .. } => {
                Some(self.channels.get(number)?.cursor.position())
            }
            Wish::Wanted(From::Cursor(cursor)) | Wish::Asked { from: From::Cursor(cursor), .. } => {
                Some(cursor.position())
            }
            Wish::Wanted(_) | Wish::Asked { .. } => None,
        }
    }
}

/// Where a subscription that has begun stands. What was received before and is not processed stays so.
fn cursor(from: From, subscription: &Subscription) -> Result<Cursor, Broken> {
    let Subscription { epoch, after, decision, .. } = *subscription;
    let begins = Position { epoch, offset: after };
    let From::Cursor(mut cursor) = from else { return Ok(Cursor::new(begins)) };
    match decision {
        Decision::Reset(_) => cursor.reset(begins),
        Decision::Gap(lost) => cursor.lost(&lost)?,
        Decision::Continue => {}
    }
    follow(&cursor, epoch, after)?;
    Ok(cursor)
}

fn follow(cursor: &Cursor, epoch: Epoch, after: Offset) -> Result<(), Broken> {
    let received = cursor.received();
    if received == (Position { epoch, offset: after }) {
        return Ok(());
    }
    Err(Broken { expected: received.offset, found: after, offset: after })
}
