//! Any number above the highest so far, as in the client table of Viewstamped Replication (§4.1): requests and their
//! replies.
//!
//! Numbers that are left out do no harm. What is below the highest and not held has been passed: it, or something after
//! it, was carried out. A few of the last replies are held, so that a request which is sent again gets its own.
//!
//! ```
//! use tenfour_delivery::dedup::{Fingerprint, Watermark, watermark::Check};
//!
//! let mut requests = Watermark::new(8);
//! let payload = Fingerprint::new(42);
//! requests.begin(3, payload).expect("it is new");
//! assert_eq!(requests.check(3, payload), Check::Pending);
//! requests.commit(3, "done").expect("it was begun");
//!
//! assert_eq!(requests.check(3, payload), Check::Duplicate("done"));
//! assert_eq!(requests.check(3, Fingerprint::new(43)), Check::Conflict);
//! assert_eq!(requests.check(2, payload), Check::Passed);
//! assert_eq!(requests.check(9, payload), Check::New);
//! ```

use alloc::collections::VecDeque;

use super::Fingerprint;

/// The highest number of one requester, and the last of its requests with their results.
///
/// At most as many requests as [`Watermark::new`] was told are held, of `size_of::<R>()` + 24 bytes each.
#[derive(Clone, Debug, Hash)]
pub struct Watermark<R> {
    held: usize,
    /// The highest that is no longer held.
    passed: Option<u64>,
    /// Ascending.
    requests: VecDeque<Request<R>>,
}

#[derive(Clone, Debug, Hash)]
struct Request<R> {
    number: u64,
    payload: Fingerprint,
    /// `None` while it is carried out.
    result: Option<R>,
}

/// What a request is, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Check<R> {
    /// Higher than all before: [`Watermark::begin`] takes it.
    New,
    /// It is being carried out: answer when that is answered.
    Pending,
    /// It was carried out, with this result.
    Duplicate(R),
    /// Its number is not above the highest, and no result is held: it is too old, was left out, or was aborted while a
    /// later one was taken. It must not be carried out.
    Passed,
    /// Its number was used for another payload.
    Conflict,
    /// As many requests are being carried out as may be held: it may be sent again later.
    Busy,
}

/// Nothing is being carried out under this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request {0} is not being carried out: begin it first, and commit it once")]
pub struct NotPending(pub u64);

impl<R: Clone> Watermark<R> {
    /// Remembers the last `held` requests; at least one.
    #[must_use]
    pub fn new(held: usize) -> Self {
        Self { held: held.max(1), passed: None, requests: VecDeque::new() }
    }

    /// What the request is.
    pub fn check(&self, number: u64, payload: Fingerprint) -> Check<R> {
        if let Ok(place) = self.find(number) {
            let request = &self.requests[place];
            return match &request.result {
                _ if !payload.matches(request.payload) => Check::Conflict,
                Some(result) => Check::Duplicate(result.clone()),
                None => Check::Pending,
            };
        }
        if Some(number) <= self.highest() {
            Check::Passed
        } else if self.requests.len() == self.held && self.requests[0].result.is_none() {
            Check::Busy
        } else {
            Check::New
        }
    }

    /// Takes the request, which the caller now carries out.
    ///
    /// # Errors
    /// What the request is, where it is not [`Check::New`].
    pub fn begin(&mut self, number: u64, payload: Fingerprint) -> Result<(), Check<R>> {
        match self.check(number, payload) {
            Check::New => {}
            other => return Err(other),
        }
        if self.requests.len() == self.held {
            self.passed = self.requests.pop_front().map(|request| request.number);
        }
        self.requests.push_back(Request { number, payload, result: None });
        Ok(())
    }

    /// The request was carried out, and what comes of it is durable.
    ///
    /// # Errors
    /// [`NotPending`], and nothing has changed.
    pub fn commit(&mut self, number: u64, result: R) -> Result<(), NotPending> {
        let pending = self.find(number).ok().map(|place| &mut self.requests[place].result);
        match pending {
            Some(slot @ None) => *slot = Some(result),
            _ => return Err(NotPending(number)),
        }
        Ok(())
    }

    /// The request was not carried out: it may be sent again, unless a higher one was taken meanwhile.
    ///
    /// # Errors
    /// [`NotPending`], and nothing has changed.
    pub fn abort(&mut self, number: u64) -> Result<(), NotPending> {
        let place = self.find(number).map_err(|_| NotPending(number))?;
        if self.requests[place].result.is_some() {
            return Err(NotPending(number));
        }
        self.requests.remove(place);
        Ok(())
    }

    /// The highest number that was carried out or is being carried out.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.requests.back().map(|request| request.number).or(self.passed)
    }

    fn find(&self, number: u64) -> Result<usize, usize> {
        self.requests.binary_search_by_key(&number, |request| request.number)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, vec::Vec};

    const ANY: Fingerprint = Fingerprint::new(9);

    #[test]
    fn an_aborted_request_may_come_again_unless_a_higher_one_was_taken() {
        let mut requests = Watermark::<u64>::new(4);
        requests.begin(5, ANY).expect("new");
        assert_eq!(requests.abort(5), Ok(()));
        assert_eq!(requests.abort(5), Err(NotPending(5)));
        requests.begin(5, ANY).expect("it may come again");
        requests.begin(6, ANY).expect("new");
        assert_eq!(requests.abort(5), Ok(()));
        assert_eq!(requests.check(5, ANY), Check::Passed);
        assert_eq!(requests.commit(6, 60), Ok(()));
        assert_eq!(requests.commit(6, 61), Err(NotPending(6)), "once");
        assert_eq!(requests.abort(6), Err(NotPending(6)), "what is done is done");
    }

    #[test]
    fn what_is_being_carried_out_is_never_dropped() {
        let mut requests = Watermark::<u64>::new(2);
        requests.begin(1, ANY).expect("new");
        requests.begin(2, ANY).expect("new");
        requests.commit(2, 20).expect("begun");
        assert_eq!(requests.begin(3, ANY), Err(Check::Busy));
        requests.commit(1, 10).expect("begun");
        requests.begin(3, ANY).expect("the first is done");
        assert_eq!(requests.check(1, ANY), Check::Passed);
        assert_eq!(requests.check(2, ANY), Check::Duplicate(20));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Begin(u64, u64),
        Commit(u64),
        Abort(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0..20_u64, 0..2_u64).prop_map(|(number, payload)| Step::Begin(number, payload)),
            2 => (0..20_u64).prop_map(Step::Commit),
            1 => (0..20_u64).prop_map(Step::Abort),
        ];
        prop::collection::vec(step, 1..100)
    }

    proptest! {
        /// Against all that was ever begun: nothing is carried out twice, and every result is its own.
        #[test]
        fn nothing_is_carried_out_twice(steps in steps()) {
            let mut requests = Watermark::<u64>::new(3);
            let mut running = BTreeMap::new();
            let mut done = BTreeMap::new();
            for (index, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Begin(number, payload) => {
                        let payload = Fingerprint::new(payload);
                        match requests.begin(number, payload) {
                            Ok(()) => {
                                prop_assert!(!done.contains_key(&number), "{number} is carried out again");
                                let highest = done.keys().chain(running.keys()).max();
                                prop_assert!(highest.is_none_or(|&highest| number > highest));
                                running.insert(number, payload);
                            }
                            Err(Check::Duplicate(result)) => {
                                prop_assert_eq!(done.get(&number), Some(&(payload, result)));
                            }
                            Err(Check::Pending) => prop_assert_eq!(running.get(&number), Some(&payload)),
                            Err(Check::Conflict) => {
                                let known = running.get(&number).or(done.get(&number).map(|done| &done.0));
                                prop_assert!(known.is_some_and(|&known| known != payload));
                            }
                            Err(Check::Passed) => {
                                prop_assert!(requests.highest() >= Some(number));
                                prop_assert!(!running.contains_key(&number));
                            }
                            Err(Check::Busy) => prop_assert!(!running.is_empty()),
                            Err(Check::New) => prop_assert!(false, "new is not an error"),
                        }
                    }
                    Step::Commit(number) => match running.remove(&number) {
                        Some(payload) => {
                            prop_assert_eq!(requests.commit(number, index as u64), Ok(()));
                            done.insert(number, (payload, index as u64));
                        }
                        None => prop_assert_eq!(requests.commit(number, 0), Err(NotPending(number))),
                    },
                    Step::Abort(number) => {
                        let expected = running.remove(&number).map(|_| ()).ok_or(NotPending(number));
                        prop_assert_eq!(requests.abort(number), expected);
                    }
                }
                prop_assert!(requests.requests.len() <= 3);
            }
        }
    }
}
