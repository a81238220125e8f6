//! Between who appends and who commits.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::Waker,
    thread,
};

use super::committer::{Answer, Committer, Job};

/// Jobs in one direction, answers in the other.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There are jobs, or there will be none any more.
    work: Condvar,
    /// There are answers.
    answered: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    answers: VecDeque<Answer>,
    /// Jobs that have no answer yet.
    open: usize,
    waker: Option<Waker>,
    /// The committer waits for jobs: to wake it costs a call of the system, which most jobs do without.
    is_idle: bool,
    is_closing: bool,
    /// The committer has ended.
    is_over: bool,
}

impl Queue {
    pub(super) fn push(&self, job: Job) {
        let mut state = self.lock();
        state.open += 1;
        state.jobs.push_back(job);
        let is_idle = mem::take(&mut state.is_idle);
        drop(state);
        if is_idle {
            self.work.notify_one();
        }
    }

    /// Takes all answers that there are, and tells whether there will be others.
    pub(super) fn take_answers(&self, into: &mut VecDeque<Answer>) -> bool {
        let mut state = self.lock();
        mem::swap(&mut state.answers, into);
        !state.is_over
    }

    pub(super) fn take_jobs(&self) -> VecDeque<Job> {
        mem::take(&mut self.lock().jobs)
    }

    pub(super) fn has_jobs(&self) -> bool {
        !self.lock().jobs.is_empty()
    }

    pub(super) fn answer(&self, answers: Vec<Answer>) {
        let mut state = self.lock();
        let done = answers.iter().filter(|answer| matches!(answer, Answer::Done(_))).count();
        state.open = state.open.saturating_sub(done);
        state.answers.extend(answers);
        let waker = state.waker.clone();
        drop(state);
        self.answered.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn wake(&self, waker: Waker) {
        self.lock().waker = Some(waker);
    }

    /// Waits until every job has its answer.
    pub(super) fn wait(&self) {
        let state = self.lock();
        let waiting = self.answered.wait_while(state, |state| state.open > 0 && !state.is_over);
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets the committer end when it has done all jobs.
    pub(super) fn close(&self) {
        self.lock().is_closing = true;
        self.work.notify_all();
    }

    /// Commits on a thread: all that came in while the last sync lasted is one group.
    pub(super) fn serve(
        self: &Arc<Self>,
        mut committer: Committer,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let queue = Arc::clone(self);
        thread::Builder::new().name("tenfour-log".into()).spawn(move || {
            let _over = Over(&queue);
            committer.look_ahead();
            while let Some(jobs) = queue.next_group() {
                let answer = &mut |answers| queue.answer(answers);
                committer.commit(jobs.into_iter(), answer, || queue.has_jobs());
                committer.look_ahead();
            }
        })
    }

    /// Waits for jobs; `None` when there will be none any more.
    fn next_group(&self) -> Option<VecDeque<Job>> {
        let state = self.lock();
        let waiting = self.work.wait_while(state, |state| {
            state.is_idle = state.jobs.is_empty() && !state.is_closing;
            state.is_idle
        });
        let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
        Some(mem::take(&mut state.jobs)).filter(|jobs| !jobs.is_empty())
    }

    /// Whoever panicked under it left it as it should be: nothing here is changed in two steps.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the committer has ended, however it did.
struct Over<'a>(&'a Queue);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        let waker = state.waker.clone();
        drop(state);
        self.0.answered.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
