//! Runs Node scripts with stock JavaScript clients.
//!
//! [`Stock::find`] looks for the tools and says which one is missing and how to install it, [`Stock::prepare`] installs
//! the packages that the lock file names, and [`Stock::run`] runs a script.
//!
//! ```no_run
//! use tenfour_testkit::stock::Stock;
//!
//! let stock = Stock::find("tests/stock")?;
//! stock.prepare()?;
//! let outcome = stock.run("connect.mjs", [("TENFOUR_URL", "http://127.0.0.1:3000")])?;
//! assert!(outcome.status.success(), "{}{}", outcome.stdout, outcome.stderr);
//! # Ok::<(), tenfour_testkit::stock::Error>(())
//! ```

use std::{
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::SystemTime,
};

use thiserror::Error;

/// The oldest major version of Node that the scripts run on.
pub const NODE_VERSION: u32 = 20;

/// A folder of Node scripts, with the tools to run them.
#[derive(Clone, Debug)]
pub struct Stock {
    directory: PathBuf,
    node: PathBuf,
    npm: PathBuf,
}

/// What a script did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

/// Why a script could not be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A tool is not on the `PATH`.
    #[error("{tool} was not found on the PATH: install it with `{install}`")]
    Missing {
        /// The tool's name.
        tool: &'static str,
        /// The command that installs it on Debian.
        install: &'static str,
    },
    /// Node is there, and too old.
    #[error("{found} is too old: version {NODE_VERSION} of Node is needed; install it with `{}`", Tool::NODE.install)]
    TooOld {
        /// What `node --version` says.
        found: String,
    },
    /// There is no lock file, so no package versions are known.
    #[error("{} does not exist: the folder of the scripts is wrong, or `npm install` was never run there", path.display())]
    NoLock {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// `npm ci` failed.
    #[error("`npm ci` failed in {}: {output}", directory.display())]
    Install {
        /// Where it ran.
        directory: PathBuf,
        /// What it wrote.
        output: String,
    },
    /// A program could not be started.
    #[error("{} could not be run: {source}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Stock {
    /// Finds the tools for the scripts in `directory`, which has a `package-lock.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] and [`Error::TooOld`] where Node or npm is not what is needed.
    pub fn find(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::find_on(directory.into(), &env::var_os("PATH").unwrap_or_default())
    }

    fn find_on(directory: PathBuf, path: &OsStr) -> Result<Self, Error> {
        let (node, npm) = (Tool::NODE.find(path)?, Tool::NPM.find(path)?);
        let found = run(Command::new(&node).arg("--version"))?.stdout.trim().to_owned();
        match major(&found) {
            Some(version) if version >= NODE_VERSION => Ok(Self { directory, node, npm }),
            _ => Err(Error::TooOld { found: format!("Node {found}") }),
        }
    }

    /// Runs `npm ci` where `node_modules` is missing or older than the lock file.
    ///
    /// # Errors
    ///
    /// [`Error::NoLock`] and [`Error::Install`].
    pub fn prepare(&self) -> Result<(), Error> {
        let lock = self.directory.join("package-lock.json");
        let Some(locked) = modified(&lock) else { return Err(Error::NoLock { path: lock }) };
        // npm writes it last, so it tells of a complete installation.
        let installed = modified(&self.directory.join("node_modules/.package-lock.json"));
        if installed.is_some_and(|installed| installed >= locked) {
            return Ok(());
        }
        let mut install = Command::new(&self.npm);
        let outcome = run(install.args(["ci", "--no-audit", "--no-fund"]).current_dir(&self.directory))?;
        match outcome.status.success() {
            true => Ok(()),
            false => Err(Error::Install {
                directory: self.directory.clone(),
                output: outcome.stdout + &outcome.stderr,
            }),
        }
    }

    /// Runs a script of the folder to its end, with `variables` added to the environment.
    ///
    /// A script that fails is an [`Outcome`] like any other. It has to end by itself: Node's test runner has
    /// `--test-timeout` for that.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] where Node cannot be started.
    pub fn run<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &self,
        script: impl AsRef<Path>,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Outcome, Error> {
        run(self.node(variables).arg(script.as_ref()))
    }

    /// A command that runs Node in the folder, with `variables` added to the environment: for what [`Stock::run`]
    /// cannot do, such as options of Node.
    pub fn node<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Command {
        let mut command = Command::new(&self.node);
        command.current_dir(&self.directory).envs(variables);
        command
    }
}

/// The Chromium that browser tests drive: the variable `TENFOUR_CHROMIUM`, or else the one on the `PATH`.
///
/// # Errors
///
/// [`Error::Missing`] where there is none.
pub fn chromium() -> Result<PathBuf, Error> {
    match env::var_os("TENFOUR_CHROMIUM").map(PathBuf::from).filter(|path| path.is_file()) {
        Some(chosen) => Ok(chosen),
        None => Tool::CHROMIUM.find(&env::var_os("PATH").unwrap_or_default()),
    }
}

struct Tool {
    name: &'static str,
    install: &'static str,
}

impl Tool {
    const NODE: Self = Self { name: "node", install: "apt-get install nodejs" };
    const NPM: Self = Self { name: "npm", install: "apt-get install npm" };
    const CHROMIUM: Self = Self { name: "chromium", install: "apt-get install chromium" };

    fn find(&self, path: &OsStr) -> Result<PathBuf, Error> {
        env::split_paths(path)
            .map(|directory| directory.join(self.name))
            .find(|candidate| candidate.is_file())
            .ok_or(Error::Missing { tool: self.name, install: self.install })
    }
}

/// The 20 of `v20.19.2`.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn run(command: &mut Command) -> Result<Outcome, Error> {
    let program = PathBuf::from(command.get_program());
    let output = command.stdin(Stdio::null()).output().map_err(|source| Error::Run { program, source })?;
    Ok(Outcome {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::PermissionsExt,
        sync::{Mutex, MutexGuard, PoisonError},
    };

    use super::*;

    /// One test at a time: a program that is just being written cannot be started, and a process that another test
    /// starts meanwhile has the file open too.
    static ALONE: Mutex<()> = Mutex::new(());

    /// A folder of its own under the system's temporary one, gone with the value.
    struct Folder(PathBuf, #[expect(dead_code, reason = "held until the test ends")] MutexGuard<'static, ()>);

    impl Folder {
        fn new(name: &str) -> Self {
            let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
            let path = env::temp_dir().join(format!("tenfour-stock-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path, alone)
        }

        fn write(&self, name: &str, content: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            path
        }

        fn tool(&self, name: &str, script: &str) {
            let path = self.write(name, &format!("#!/bin/sh\n{script}\n"));
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn stock(&self) -> Result<Stock, Error> {
            Stock::find_on(self.0.clone(), self.0.as_os_str())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn a_missing_tool_is_named_with_its_remedy() {
        let folder = Folder::new("missing");
        assert_eq!(
            folder.stock().unwrap_err().to_string(),
            "node was not found on the PATH: install it with `apt-get install nodejs`"
        );
        folder.tool("node", "echo v20.1.2");
        assert!(matches!(folder.stock(), Err(Error::Missing { tool: "npm", .. })));
        folder.tool("npm", "");
        assert!(folder.stock().is_ok());
    }

    #[test]
    fn an_old_node_is_refused() {
        let folder = Folder::new("old");
        folder.tool("node", "echo v18.20.4");
        folder.tool("npm", "");
        assert_eq!(
            folder.stock().unwrap_err().to_string(),
            "Node v18.20.4 is too old: version 20 of Node is needed; install it with `apt-get install nodejs`"
        );
        folder.tool("node", "echo nonsense");
        assert!(matches!(folder.stock(), Err(Error::TooOld { .. })));
    }

    #[test]
    fn packages_are_installed_where_they_are_missing_or_older_than_the_lock() {
        let folder = Folder::new("prepare");
        folder.tool("node", "echo v22.0.0");
        folder.tool(
            "npm",
            "echo \"$@\" >> runs; mkdir -p node_modules; echo > node_modules/.package-lock.json",
        );
        let stock = folder.stock().unwrap();
        let runs = || fs::read_to_string(folder.0.join("runs")).unwrap_or_default().lines().count();
        assert!(matches!(stock.prepare(), Err(Error::NoLock { .. })));

        folder.write("package-lock.json", "{}");
        stock.prepare().unwrap();
        stock.prepare().unwrap();
        assert_eq!(runs(), 1);

        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        fs::File::open(folder.0.join("package-lock.json")).unwrap().set_modified(later).unwrap();
        stock.prepare().unwrap();
        assert_eq!(runs(), 2);
    }

    #[test]
    fn an_installation_that_fails_says_what_npm_said() {
        let folder = Folder::new("fails");
        folder.tool("node", "echo v22.0.0");
        folder.tool("npm", "echo no such package >&2; exit 1");
        folder.write("package-lock.json", "{}");
        let error = folder.stock().unwrap().prepare().unwrap_err();
        assert!(error.to_string().ends_with("no such package\n"), "{error}");
    }

    #[test]
    fn a_script_has_its_output_captured_and_its_variables_set() {
        let folder = Folder::new("run");
        folder.tool(
            "node",
            "if [ \"$1\" = --version ]; then echo v22.0.0; else echo \"$1 at $TENFOUR_URL\"; echo bad >&2; exit 3; fi",
        );
        folder.tool("npm", "");
        let outcome = folder.stock().unwrap().run("x.mjs", [("TENFOUR_URL", "http://here")]).unwrap();
        assert_eq!(outcome.status.code(), Some(3));
        assert_eq!((&*outcome.stdout, &*outcome.stderr), ("x.mjs at http://here\n", "bad\n"));
    }
}
