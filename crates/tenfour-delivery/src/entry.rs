//! What an entry of a log is made of.

use crate::number::{ProducerEpoch, ProducerId, ProducerSequence};

/// A message's place in the producer's space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Producer {
    /// Who.
    pub id: ProducerId,
    /// In which of its lives.
    pub epoch: ProducerEpoch,
    /// The message's number in it.
    pub sequence: ProducerSequence,
}
