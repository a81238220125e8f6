extern crate std;

use alloc::{collections::VecDeque as Model, vec::Vec};

use proptest::prelude::*;

use super::*;

#[test]
fn what_never_fits_is_dropped_and_displaces_nothing() {
    for policy in [DropPolicy::Oldest, DropPolicy::Newest] {
        let mut queue = Queue::new(Config { messages: 4, bytes: 10, policy });
        assert_eq!(queue.push('a', 10), Pushed::Kept);
        assert_eq!(queue.push('b', 11), Pushed::Dropped('b'));
        assert_eq!((queue.len(), queue.bytes(), queue.dropped()), (1, 10, 1));
        let mut none = Queue::new(Config { messages: 0, bytes: 10, policy });
        assert_eq!(none.push('a', 0), Pushed::Dropped('a'));
    }
}

#[test]
fn what_a_broken_pipe_leaves_is_counted_and_gone() {
    let mut queue = Queue::new(Config::default());
    for number in 0..5 {
        queue.push(number, 1);
    }
    queue.clear();
    assert_eq!((queue.pop(), queue.bytes(), queue.dropped()), (None, 0, 5));
}

proptest! {
    /// Whatever goes in comes out once and in order, or is counted as dropped; the bounds hold; and what is dropped is what
    /// the policy says.
    #[test]
    fn it_is_a_bounded_queue_that_counts(
        newest in any::<bool>(),
        steps in proptest::collection::vec(proptest::option::weighted(0.7, 0..9_usize), 0..100),
    ) {
        let policy = if newest { DropPolicy::Newest } else { DropPolicy::Oldest };
        let mut queue = Queue::new(Config { messages: 4, bytes: 16, policy });
        let mut model: Model<(usize, usize)> = Model::new();
        let (mut dropped, mut popped) = (0, Vec::new());
        for (number, step) in steps.into_iter().enumerate() {
            let Some(bytes) = step else {
                let item = queue.pop();
                prop_assert_eq!(item, model.pop_front().map(|(number, _)| number));
                popped.extend(item);
                continue;
            };
            model.push_back((number, bytes));
            let mut displaced = 0;
            while model.len() > 4 || model.iter().map(|(_, bytes)| bytes).sum::<usize>() > 16 {
                if newest { model.pop_back() } else { model.pop_front() };
                displaced += 1;
            }
            dropped += displaced;
            let expected = match (displaced, newest) {
                (0, _) => Pushed::Kept,
                (_, true) => Pushed::Dropped(number),
                (messages, false) => Pushed::Displaced { messages },
            };
            prop_assert_eq!(queue.push(number, bytes), expected);
            prop_assert_eq!((queue.len(), queue.dropped()), (model.len(), dropped));
            prop_assert_eq!(queue.bytes(), model.iter().map(|(_, bytes)| bytes).sum::<usize>());
        }
        prop_assert!(popped.is_sorted());
    }
}
