//! What was done, how long it took, and whether all of it went well.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;

/// Steps so far. A step that fails doesn't keep the next from running: one wants to know all that is wrong.
#[derive(Default)]
pub(crate) struct Summary(Vec<Step>);

struct Step {
    name: String,
    duration: Duration,
    outcome: Result<()>,
}

impl Summary {
    /// Runs a step, and remembers how it went.
    #[must_use]
    pub(crate) fn step(mut self, name: &str, run: impl FnOnce() -> Result<()>) -> Self {
        println!("\n=== {name}");
        let begin = Instant::now();
        let outcome = run();
        if let Err(error) = &outcome {
            println!("{error:#}");
        }
        self.0.push(Step { name: name.to_owned(), duration: begin.elapsed(), outcome });
        self
    }

    /// Prints a line for each step, and answers what the process ends with.
    pub(crate) fn print(&self) -> ExitCode {
        println!("\n=== summary");
        for Step { name, duration, outcome } in &self.0 {
            let seconds = duration.as_secs_f32();
            match outcome {
                Ok(()) => println!("ok      {seconds:>7.1} s  {name}"),
                Err(error) => println!("FAILED  {seconds:>7.1} s  {name}: {error:#}"),
            }
        }
        if self.0.iter().all(|step| step.outcome.is_ok()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
