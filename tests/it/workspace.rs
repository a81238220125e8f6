//! The workspace as Cargo sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The crates that link no std.
pub(crate) const CORE: [&str; 5] =
    ["tenfour-wire", "tenfour-delivery", "tenfour-session", "tenfour-broker", "tenfour-node"];

/// The folder of the root manifest.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a folder of the root").to_owned()
}

/// Cargo, as the one that runs the tests.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A dependency on another package, as its manifest declares it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) optional: bool,
}

/// A package and what its library and binaries depend on; what only its tests or its build script need is left out.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    pub(crate) is_macro: bool,
    pub(crate) declared: BTreeSet<Dependency>,
    /// Ids of the packages that are really built for it.
    pub(crate) resolved: Vec<String>,
}

/// All packages of the build, by Cargo's id, as `cargo metadata` tells them.
pub(crate) fn packages() -> BTreeMap<String, Package> {
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let mut packages: BTreeMap<_, _> =
        list(&metadata["packages"]).map(|package| (text(&package["id"]), Package::new(package))).collect();
    for node in list(&metadata["resolve"]["nodes"]) {
        let package = packages.get_mut(&text(&node["id"])).expect("a node is a package");
        package.resolved = list(&node["deps"])
            .filter(|dependency| list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null()))
            .map(|dependency| text(&dependency["pkg"]))
            .collect();
    }
    packages
}

impl Package {
    fn new(package: &Value) -> Self {
        let declared = list(&package["dependencies"])
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| Dependency {
                name: text(&dependency["name"]),
                optional: dependency["optional"] == true,
            })
            .collect();
        let is_macro =
            list(&package["targets"]).any(|target| list(&target["kind"]).any(|kind| kind == "proc-macro"));
        Self {
            name: text(&package["name"]),
            manifest: text(&package["manifest_path"]).into(),
            is_macro,
            declared,
            resolved: Vec::new(),
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
