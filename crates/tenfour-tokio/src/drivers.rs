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
///
/// What a driver does while it is polled, such as answering an event, leads to a wake-up of its own. It looks again
/// anyway before it rests, so that wake-up is only noted: a task that woke itself would be queued once more for each event,
/// before the connections whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Drivers {
    places: Mutex<SmallVec<[Place; 1]>>,
}

#[derive(Debug)]
struct Place {
    driver: Driver,
    waker: Waker,
    activity: Activity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    Resting,
    /// It is being polled, and will see whatever happened before.
    Looking,
    /// It is being polled, and something has happened since.
    Notified,
}

impl Drivers {
    /// A driver looks what there is to do. Until it [rests](Self::rest), it is not woken.
    pub(crate) fn look(&self, driver: Driver, waker: &Waker) {
        let mut places = self.places.lock();
        match places.iter_mut().find(|place| place.driver == driver) {
            Some(place) => {
                place.waker.clone_from(waker);
                place.activity = Activity::Looking;
            }
            None => places.push(Place { driver, waker: waker.clone(), activity: Activity::Looking }),
        }
    }

    /// A driver has found nothing more to do: whether it may rest, since nothing has happened while it looked.
    #[must_use = "a driver that may not rest has to look again"]
    pub(crate) fn rest(&self, driver: Driver) -> bool {
        let mut places = self.places.lock();
        let Some(place) = places.iter_mut().find(|place| place.driver == driver) else { return true };
        let undisturbed = place.activity != Activity::Notified;
        place.activity = if undisturbed { Activity::Resting } else { Activity::Looking };
        undisturbed
    }

    /// A driver stops looking, though there may be more to do: it is queued behind the others.
    pub(crate) fn pause(&self, driver: Driver) {
        let mut places = self.places.lock();
        for place in places.iter_mut().filter(|place| place.driver == driver) {
            place.activity = Activity::Resting;
            place.waker.wake_by_ref();
        }
    }

    pub(crate) fn forget(&self, driver: Driver) {
        self.places.lock().retain(|place| place.driver != driver);
    }

    pub(crate) fn wake(&self) {
        for place in self.places.lock().iter_mut() {
            match place.activity {
                Activity::Resting => place.waker.wake_by_ref(),
                Activity::Looking | Activity::Notified => place.activity = Activity::Notified,
            }
        }
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

    const OWN: Driver = Driver::WebSocket(WebSocketId(0));
    const FURTHER: Driver = Driver::WebSocket(WebSocketId(1));

    #[test]
    fn a_further_socket_takes_no_wake_ups() {
        let (drivers, own, other) = (Drivers::default(), Arc::<Count>::default(), Arc::<Count>::default());
        for (driver, count) in [(OWN, &own), (FURTHER, &other)] {
            drivers.look(driver, &count.clone().into());
            assert!(drivers.rest(driver));
        }
        drivers.wake();
        drivers.forget(FURTHER);
        drivers.wake();
        assert_eq!((own.0.load(Ordering::Relaxed), other.0.load(Ordering::Relaxed)), (2, 1));
    }

    #[test]
    fn a_driver_that_looks_is_told_in_place_of_being_woken() {
        let (drivers, own) = (Drivers::default(), Arc::<Count>::default());
        drivers.look(OWN, &own.clone().into());
        drivers.wake();
        assert!(!drivers.rest(OWN), "something happened");
        assert!(drivers.rest(OWN), "nothing happened since");
        assert_eq!(own.0.load(Ordering::Relaxed), 0);
        drivers.wake();
        assert_eq!(own.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_happened_before_a_look_is_seen_by_it() {
        let (drivers, own) = (Drivers::default(), Arc::<Count>::default());
        drivers.look(OWN, &own.clone().into());
        drivers.wake();
        drivers.look(OWN, &own.into());
        assert!(drivers.rest(OWN));
    }

    #[test]
    fn a_driver_that_pauses_is_woken() {
        let (drivers, own) = (Drivers::default(), Arc::<Count>::default());
        drivers.look(OWN, &own.clone().into());
        drivers.pause(OWN);
        assert_eq!(own.0.load(Ordering::Relaxed), 1);
    }
}
