//! What proves that a session is the claimant's.

use tenfour_delivery::{mutant, number::Generation};
use tenfour_wire::native::Token;

/// A session's current token, and the one before it until the client has shown that it got the current one.
///
/// The secret changes with each connection of the session; the other half, by which the session is found, stays. If
/// the answer that carries a new secret is lost, the client comes again with the old one, and must be let in: whoever
/// was let in with it before has then lost the session.
#[derive(Clone, Hash)]
pub(super) struct Tokens {
    current: Issued,
    previous: Option<Issued>,
}

/// A token and the connection of the session that it was given to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Issued {
    pub(super) token: Token,
    pub(super) generation: Generation,
}

/// What a claim to a session is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Valid,
    /// A connection that was overtaken by a newer one.
    Stale,
    Forged,
}

impl Tokens {
    pub(super) const fn new(first: Token) -> Self {
        Self { current: Issued { token: first, generation: Generation::FIRST }, previous: None }
    }

    pub(super) const fn current(&self) -> Issued {
        self.current
    }

    pub(super) fn check(&self, claim: Issued) -> Proof {
        let known = [Some(self.current), self.previous];
        match known.into_iter().flatten().find(|known| known.generation == claim.generation) {
            Some(known) if is_equal(&known.token, &claim.token) => Proof::Valid,
            Some(_) => Proof::Forged,
            None if mutant!(OldGenerationAccepted) => Proof::Valid,
            None if claim.generation < self.current.generation => Proof::Stale,
            None => Proof::Forged,
        }
    }

    /// Replaces the current token after a [valid](Proof::Valid) claim.
    /// `None` for a session that has had all the connections that can be told apart.
    pub(super) fn rotate(&mut self, claim: Issued, next: Token) -> Option<Issued> {
        let generation = self.current.generation.next()?;
        self.previous = (!mutant!(TokenRotatedTooEarly)).then_some(claim);
        self.current = Issued { token: next, generation };
        Some(self.current)
    }

    /// Whether the client may not have the current token.
    pub(super) const fn is_unconfirmed(&self) -> bool {
        self.previous.is_some()
    }

    /// The client has the current token: the one before it is worth nothing any more.
    pub(super) fn confirm(&mut self) {
        if !mutant!(TokenHonouredForever) {
            self.previous = None;
        }
    }
}

/// Says of a secret whether it is right, and by the time it takes, not where it is wrong.
fn is_equal(one: &Token, other: &Token) -> bool {
    one.0.iter().zip(other.0).fold(0, |differing, (a, b)| differing | (*a ^ b)) == 0
}

/// Prints no secret.
impl core::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tokens")
            .field("generation", &self.current.generation)
            .field("previous", &self.previous.map(|previous| previous.generation))
            .finish()
    }
}
