//! The kinds of frames: the five high bits of a frame's first byte. Above them all, the highest tells whether a frame
//! takes a sequence number.

pub(super) const HELLO: u8 = 1;
pub(super) const WELCOME: u8 = 2;
pub(super) const REJECT: u8 = 3;
pub(super) const CLOSE: u8 = 4;
pub(super) const GO_AWAY: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const PONG: u8 = 7;
pub(super) const ACK: u8 = 8;
pub(super) const CREDIT: u8 = 9;
pub(super) const EMIT: u8 = 10;
pub(super) const EXTENSION: u8 = 15;

/// The bit of a kind that says that its frame takes a sequence number.
pub(super) const RELIABLE: u8 = 16;

pub(super) const DELIVER: u8 = 16;
pub(super) const LOST: u8 = 17;
pub(super) const SKIP: u8 = 18;
pub(super) const CAUGHT_UP: u8 = 19;
pub(super) const SUBSCRIBE: u8 = 20;
pub(super) const SUBSCRIBED: u8 = 21;
pub(super) const UNSUBSCRIBE: u8 = 22;
pub(super) const UNSUBSCRIBED: u8 = 23;
pub(super) const PUBLISH: u8 = 24;
pub(super) const PUBLISHED: u8 = 25;
pub(super) const REQUEST: u8 = 26;
pub(super) const REPLY: u8 = 27;
pub(super) const VOID: u8 = 28;

/// The flag of a reliable frame whose number is written out.
pub(super) const SEQUENCE: u8 = 1;
