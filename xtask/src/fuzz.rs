//! The fuzz targets, by cargo-fuzz.

use std::process::Command;

use anyhow::{Result, bail};

use crate::tools::{cargo, check, find, read, root, succeeds};

/// cargo-fuzz, and the targets that it knows.
pub(crate) struct Fuzz {
    nightly: bool,
    targets: Vec<String>,
}

impl Fuzz {
    /// Finds the tools; cargo-fuzz is installed where it is missing.
    pub(crate) fn prepare() -> Result<Self> {
        if find("c++").is_none() {
            bail!("c++ was not found on the PATH, and libFuzzer is built with it: `apt-get install g++`");
        }
        if !succeeds(cargo().args(["fuzz", "--version"])) {
            check(cargo().args(["install", "--locked", "cargo-fuzz"]))?;
        }
        let nightly = succeeds(Command::new("cargo").args(["+nightly", "--version"]).current_dir(root()));
        let mut fuzz = Self { nightly, targets: Vec::new() };
        fuzz.targets = read(fuzz.command().arg("list"))?.lines().map(str::to_owned).collect();
        match fuzz.targets.is_empty() {
            true => bail!("there is no fuzz target"),
            false => Ok(fuzz),
        }
    }

    pub(crate) fn targets(&self) -> &[String] {
        &self.targets
    }

    /// Runs a target for some seconds, from what earlier runs found.
    pub(crate) fn run(&self, target: &str, seconds: u32) -> Result<()> {
        let time = format!("-max_total_time={seconds}");
        check(self.command().args(["run", target, "--", "-verbosity=0", &time]))
    }

    /// `cargo fuzz`. What it needs of the compiler is unstable: the nightly one has it, and else the stable one is told
    /// to let it through.
    fn command(&self) -> Command {
        let mut command = if self.nightly { Command::new("cargo") } else { cargo() };
        command.current_dir(root());
        if self.nightly {
            // A toolchain chosen for this process would win over `+nightly`.
            command.arg("+nightly").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC").env_remove("CARGO");
        } else {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command.arg("fuzz");
        command
    }
}
