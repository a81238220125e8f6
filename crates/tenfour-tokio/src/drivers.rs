//! Who is to be woken when a connection has something to carry out.

use parking_lot::Mutex;
use smallvec::SmallVec;
use std::task::Waker;
use tenfour_session::WebSocketId;

/// A task that carries a connection's frames or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// It answers polls.
    Polling,
    /// It serves a WebSocket: the session's, one that probes, or one that is not wanted.
    WebSocket(WebSocketId),
}

/// The drivers of a connection: nearly always one, two while it is upgraded. Each has a place of its own, so that no
/// further socket, wanted or not, takes the wake-ups of another.
#[derive(Debug, Default)]
pub(crate) struct Drivers {
    wakers: Mutex<SmallVec<[(Driver, Waker); 1]>>,
}

impl Drivers {
    pub(crate) fn register(&self, driver: Driver, waker: &Waker) {
        let mut wakers = self.wakers.lock();
        match wakers.iter_mut().find(|(known, _)| *known == driver) {
            Some((_, known)) => known.clone_from(waker),
            None => wakers.push((driver, waker.clone())),
        }
    }

    pub(crate) fn forget(&self, driver: Driver) {
        self.wakers.lock().retain(|(known, _)| *known != driver);
    }

    pub(crate) fn wake(&self) {
        self.wakers.lock().iter().for_each(|(_, waker)| waker.wake_by_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_further_socket_takes_no_wake_ups() {
        let (drivers, own, other) = (Drivers::default(), Arc::<Count>::default(), Arc::<Count>::default());
        drivers.register(Driver::WebSocket(WebSocketId(0)), &own.clone().into());
        drivers.register(Driver::WebSocket(WebSocketId(1)), &other.clone().into());
        drivers.wake();
        drivers.forget(Driver::WebSocket(WebSocketId(1)));
        drivers.wake();
        assert_eq!((own.0.load(Ordering::Relaxed), other.0.load(Ordering::Relaxed)), (2, 1));
    }
}
