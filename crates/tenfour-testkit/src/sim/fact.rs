//! What happened in a world, as far as an application, a log or a disk can see it.

use core::time::Duration;

use tenfour_delivery::{
    loss::{Count, Reason},
    time::{Instant, WallTime},
};

/// A client of a world, by its place.
pub type ClientId = u8;
/// A channel of a world, by its place.
pub type ChannelId = u8;
/// A connection of a world: the how-manieth of all.
pub type ConnectionId = u32;
/// A session of a client that is a member of rooms: the how-manieth of all.
pub type SessionNumber = u32;
/// A message of a world: every one that an application makes has a number of its own, and carries it.
pub type MessageId = u32;

/// Something that happened. A run is judged by the list of these alone, and never by what the code under test holds for
/// true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fact {
    /// A server began, on an empty log or on the one of before.
    Started {
        /// The log's epoch: that of the server before if it goes on with its log.
        epoch: u64,
    },
    /// An application wrote a publication into its outbox.
    Offered {
        /// Whose.
        by: ClientId,
        /// Which.
        message: MessageId,
        /// Where to.
        channel: ChannelId,
        /// How long it is of use.
        ttl: Option<Duration>,
    },
    /// An application forgot a publication: it died before its outbox was on the disk.
    Forgotten {
        /// Which.
        message: MessageId,
    },
    /// The log has it.
    Committed(Committed),
    /// The log let go of a channel's entries.
    Trimmed {
        /// Whose.
        channel: ChannelId,
        /// All up to here.
        through: u64,
    },
    /// A publisher was told that its message is committed.
    Acked {
        /// Who.
        by: ClientId,
        /// Which.
        message: MessageId,
        /// In which epoch.
        epoch: u64,
        /// Where.
        offset: u64,
    },
    /// A publisher was told that its message will not be committed.
    Rejected {
        /// Who.
        by: ClientId,
        /// Which.
        message: MessageId,
        /// Whether because its number is said to be another one's.
        conflict: bool,
    },
    /// An application may not subscribe to what it may read.
    SubscriptionRefused {
        /// Who.
        by: ClientId,
        /// To what.
        channel: ChannelId,
    },
    /// A session says up to where its application has processed a channel.
    Positioned {
        /// Whose.
        by: ClientId,
        /// Which.
        channel: ChannelId,
        /// In which epoch.
        epoch: u64,
        /// Up to here.
        offset: u64,
    },
    /// A client closed a connection because its server broke the protocol.
    Faulted {
        /// Which one.
        connection: ConnectionId,
        /// How.
        fault: ProtocolFault,
    },
    /// A subscription begins, or goes on after it was asked for again.
    Subscribed {
        /// Who.
        by: ClientId,
        /// To what.
        channel: ChannelId,
        /// From where on, as asked for.
        start: Start,
        /// In which epoch, as answered.
        epoch: u64,
        /// From where on, as answered.
        after: u64,
    },
    /// A subscription is over, by the subscriber's wish.
    Unsubscribed {
        /// Whose.
        by: ClientId,
        /// Of what.
        channel: ChannelId,
    },
    /// An application got an entry.
    Delivered(Delivered),
    /// An application was told of a loss.
    Lost(Lost),
    /// An application was told that nothing was owed to it.
    Skipped {
        /// Who.
        to: ClientId,
        /// Of what.
        channel: ChannelId,
        /// After here.
        after: u64,
        /// Up to here.
        through: u64,
    },
    /// An application begins to write its cursors and effects of now to the disk, in one.
    Saving {
        /// Who.
        by: ClientId,
    },
    /// What it began to write is on the disk.
    Saved {
        /// Who.
        by: ClientId,
    },
    /// An application died, and begins anew with what was last [`Saved`](Self::Saved).
    Crashed {
        /// Who.
        client: ClientId,
    },
    /// A client asks to be let in.
    Connected {
        /// Who.
        client: ClientId,
        /// On which connection.
        connection: ConnectionId,
        /// Whether it asks for the session that it had.
        claims: bool,
        /// Whether it is a copy of a client that is still there, and asks for the same session.
        contests: bool,
        /// The connection on which it learned the token that it shows.
        knows: Option<ConnectionId>,
    },
    /// A server let a connection in.
    Admitted {
        /// Which one.
        connection: ConnectionId,
        /// In which session, of all that there ever were.
        session: u64,
        /// Whether that was on another connection before.
        resumed: bool,
    },
    /// A client learned that it was let in.
    Welcomed {
        /// On which connection.
        connection: ConnectionId,
        /// Whether as the session that it had.
        resumed: bool,
        /// How long it may take from the first attempt on, where the world is well enough for that to be a promise.
        within: Option<Duration>,
    },
    /// A client learned that it was not let in.
    Refused {
        /// On which connection.
        connection: ConnectionId,
    },
    /// The server's application got something from a connection: a publication, a request.
    Acted {
        /// Which one.
        connection: ConnectionId,
    },
    /// A connection is over at the server.
    Parted {
        /// Which one.
        connection: ConnectionId,
    },
    /// The server's application got a client's request. A client numbers its requests.
    Asked {
        /// On which connection.
        connection: ConnectionId,
        /// Which one.
        number: u32,
    },
    /// A client got its request's answer.
    Answered {
        /// Who had asked.
        to: ClientId,
        /// Which one.
        number: u32,
    },
    /// A peer claims on this connection what it may not: to have got what was never sent, or to be who it is not.
    Forged {
        /// On which one.
        connection: ConnectionId,
        /// What.
        forgery: Forgery,
    },
    /// A publication has a number under which its producer has published something else.
    Conflicting {
        /// Which.
        message: MessageId,
    },
    /// What a client may read changes with its next connection.
    Granted {
        /// Who.
        client: ClientId,
        /// What.
        channel: ChannelId,
        /// Whether it may.
        may_read: bool,
    },
    /// An application sent something at most once.
    Emitted {
        /// What.
        message: MessageId,
    },
    /// An application got something that was sent at most once.
    Heard {
        /// Who.
        by: ClientId,
        /// What.
        message: MessageId,
    },
    /// A server began a session that is a member of rooms. Nothing is owed to it from before.
    SessionBegun {
        /// The next number.
        session: SessionNumber,
        /// The log's head then.
        start: Place,
    },
    /// From here on what is committed to a room is owed to a session.
    Entered {
        /// Whose.
        session: SessionNumber,
        /// Which room.
        channel: ChannelId,
        /// Not this, but what comes after it.
        after: u64,
    },
    /// A session left a room.
    Exited {
        /// Which session.
        session: SessionNumber,
        /// Which room.
        channel: ChannelId,
        /// This is still owed.
        through: u64,
    },
    /// From here on a client that comes back may go on with a session.
    Recoverable {
        /// Which.
        session: SessionNumber,
    },
    /// A session's connection is gone, and its client may come back.
    Parked {
        /// Whose.
        session: SessionNumber,
    },
    /// A session is over: its client said goodbye, or broke the protocol.
    Ended {
        /// Which.
        session: SessionNumber,
    },
    /// The log has it that a session is over.
    Closed {
        /// Which.
        session: SessionNumber,
    },
    /// The server's application begins to handle what was published with a key.
    Handled {
        /// Which publication.
        message: MessageId,
    },
    /// The log has what it was answered.
    AnswerKept {
        /// Which publication.
        message: MessageId,
    },
    /// A client was told that it is in a room now, or not.
    RoomAnswered {
        /// Whose session it is.
        session: SessionNumber,
        /// Which room.
        channel: ChannelId,
        /// Whether it is in it.
        is_in: bool,
    },
    /// A client asks for the session that it had, from its cursor on.
    Claimed {
        /// Who.
        client: ClientId,
        /// On which connection.
        connection: ConnectionId,
        /// Which session.
        session: SessionNumber,
        /// What it has had up to.
        cursor: Cursor,
        /// Whether it is a copy of the client.
        contests: bool,
    },
    /// A server let a connection in as a session.
    Seated {
        /// Which connection.
        connection: ConnectionId,
        /// As which.
        session: SessionNumber,
        /// Whether that was another connection's before.
        resumed: bool,
    },
    /// A client learned which session it has.
    Greeted {
        /// Who.
        client: ClientId,
        /// On which connection.
        connection: ConnectionId,
        /// Which session.
        session: SessionNumber,
        /// Whether it takes it for the one that it had.
        recovered: bool,
        /// How long that may take, where the world is well enough for it to be a promise.
        within: Option<Duration>,
    },
    /// A client that is a member of rooms got an entry.
    Received(Received),
    /// It was told of a loss.
    Told(Told),
    /// It was not let in, and had got so many entries by then.
    TurnedAway {
        /// On which connection.
        connection: ConnectionId,
        /// How many.
        entries: usize,
    },
    /// It begins without knowing anything of what it was.
    Reborn {
        /// Who.
        client: ClientId,
    },
}

/// A place in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The log's epoch.
    pub epoch: u64,
    /// Where in it.
    pub offset: u64,
}

/// What a client shows for a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cursor {
    /// It has none.
    None,
    /// A place in the present log.
    At(Place),
    /// A place in a log that is gone.
    Elsewhere,
    /// Something that no server wrote as one.
    Garbage,
}

/// An entry at a client that is a member of rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Received {
    /// Who got it.
    pub by: ClientId,
    /// On which connection.
    pub connection: ConnectionId,
    /// What it is.
    pub message: MessageId,
    /// Where it is, by the cursor that it ends in; 0 where that is none.
    pub offset: u64,
    /// When it left the server.
    pub left: Left,
}

/// A loss as a client that is a member of rooms was told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    /// Who was told.
    pub to: ClientId,
    /// After here.
    pub after: u64,
    /// Up to here.
    pub through: u64,
    /// How many, over all of its rooms.
    pub count: Count,
    /// Why.
    pub reason: Reason,
}

/// An entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Committed {
    /// In which epoch.
    pub epoch: u64,
    /// In which channel.
    pub channel: ChannelId,
    /// Where.
    pub offset: u64,
    /// The channel's entry before, as the entry says.
    pub previous: u64,
    /// What it is.
    pub message: MessageId,
    /// Under which number of which producer.
    pub producer: Option<Producer>,
    /// Until when it is of use.
    pub expires: Option<WallTime>,
}

/// Who published, and its how-manieth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Producer {
    /// Who.
    pub id: u128,
    /// In which of its lives.
    pub epoch: u32,
    /// Its number.
    pub sequence: u64,
}

/// An entry at a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Delivered {
    /// Who got it.
    pub to: ClientId,
    /// On which connection.
    pub connection: ConnectionId,
    /// From which channel.
    pub channel: ChannelId,
    /// In which epoch.
    pub epoch: u64,
    /// Where.
    pub offset: u64,
    /// What it is.
    pub message: MessageId,
    /// When the last of it left the server; `None` where that is not known.
    pub left: Option<Left>,
}

/// When bytes left the server, on the world's clock and on the server's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// On the world's clock.
    pub at: Instant,
    /// On the server's calendar.
    pub wall: WallTime,
}

/// A loss as a subscriber was told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lost {
    /// Who was told.
    pub to: ClientId,
    /// Of which channel.
    pub channel: ChannelId,
    /// After here.
    pub after: u64,
    /// Up to here.
    pub through: u64,
    /// How many.
    pub count: Count,
    /// Why.
    pub reason: Reason,
}

/// Where a subscription is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// With what comes next.
    Live,
    /// With the first entry that there is.
    Earliest,
    /// After this position.
    After {
        /// In this epoch.
        epoch: u64,
        /// Here.
        offset: u64,
    },
}

/// How a protocol was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolFault {
    /// A message did not follow the one before it in its channel.
    BrokenChain,
    /// A number did not follow.
    SequenceGap,
    /// Anything else.
    Other,
}

/// What a peer makes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forgery {
    /// An acknowledgement of what was never sent.
    Acknowledgement,
    /// A session's token that it was never given, or that was replaced.
    Token,
}

/// A fact with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Happening {
    /// When, on the world's clock.
    pub at: Instant,
    /// What.
    pub fact: Fact,
}
