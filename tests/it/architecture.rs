//! Who may import whom: the absences that hold the house up.

use std::{collections::BTreeSet, fs};

use crate::workspace::{CORE, Package, packages, root};

/// What a crate must import of ours, and what it may.
struct Imports {
    of: &'static str,
    must: &'static [&'static str],
    may: &'static [&'static str],
}

/// Every crate of the house. A crate that does not exist yet matters to nobody.
const IMPORTS: &[Imports] = &[
    Imports { of: "tenfour-wire", must: &[], may: &[] },
    Imports { of: "tenfour-delivery", must: &[], may: &[] },
    Imports { of: "tenfour-counting-alloc", must: &[], may: &[] },
    Imports { of: "tenfour-filter", must: &[], may: &[] },
    Imports { of: "tenfour-session", must: &["tenfour-wire", "tenfour-delivery"], may: &[] },
    Imports { of: "tenfour-broker", must: &["tenfour-delivery", "tenfour-filter"], may: &[] },
    Imports { of: "tenfour-log", must: &["tenfour-delivery"], may: &[] },
    Imports {
        of: "tenfour-node",
        must: &["tenfour-wire", "tenfour-session", "tenfour-broker", "tenfour-delivery"],
        may: &[],
    },
    Imports {
        of: "tenfour-tokio",
        must: &["tenfour-node", "tenfour-log"],
        may: &["tenfour-wire", "tenfour-delivery", "tenfour-session", "tenfour-broker"],
    },
    Imports {
        of: "tenfour",
        must: &["tenfour-tokio"],
        may: &[
            "tenfour-wire",
            "tenfour-delivery",
            "tenfour-filter",
            "tenfour-session",
            "tenfour-broker",
            "tenfour-log",
            "tenfour-node",
        ],
    },
    Imports { of: "tenfour-server", must: &["tenfour"], may: &["tenfour-testkit"] },
    Imports {
        of: "tenfour-testkit",
        must: &[],
        may: &[
            "tenfour-wire",
            "tenfour-delivery",
            "tenfour-filter",
            "tenfour-session",
            "tenfour-broker",
            "tenfour-log",
            "tenfour-node",
        ],
    },
];

/// What only a feature switches on.
const ONLY_OPTIONAL: &[(&str, &str)] = &[("tenfour-server", "tenfour-testkit")];

/// Clocks, randomness, sockets and the runtimes that bring them.
const BANNED_FROM_CORE: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "crossbeam-channel",
    "futures-executor",
    "getrandom",
    "hyper",
    "libc",
    "mio",
    "parking_lot",
    "rand",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "tower",
    "tracing-subscriber",
    "tungstenite",
    "windows-sys",
];

#[test]
fn crates_import_each_other_as_drawn() {
    let crates = crates();
    let names: BTreeSet<_> = crates.iter().map(|package| package.name.as_str()).collect();
    for package in &crates {
        let rule = IMPORTS.iter().find(|rule| rule.of == package.name);
        let rule = rule.unwrap_or_else(|| panic!("{} has no line in the table of imports", package.name));
        let imports: BTreeSet<_> = package
            .declared
            .iter()
            .map(|import| import.name.as_str())
            .filter(|name| names.contains(name))
            .collect();
        for import in &imports {
            assert!(rule.must.contains(import) || rule.may.contains(import), "{} imports {import}", rule.of);
        }
        for must in rule.must.iter().filter(|must| names.contains(*must)) {
            assert!(imports.contains(must), "{} does not import {must}", rule.of);
        }
    }
}

#[test]
fn what_only_a_feature_needs_is_optional() {
    for (of, import) in ONLY_OPTIONAL {
        for package in crates().iter().filter(|package| package.name == *of) {
            let declared = package.declared.iter().find(|declared| declared.name == *import);
            assert!(declared.is_none_or(|declared| declared.optional), "{of} always imports {import}");
        }
    }
}

#[test]
fn a_crate_lies_in_the_folder_of_its_name() {
    for package in crates() {
        assert_eq!(package.manifest, root().join("crates").join(&package.name).join("Cargo.toml"));
    }
}

#[test]
fn the_core_pulls_no_runtime_no_clock_and_no_socket() {
    let reached = reached_from(&CORE);
    let pulled: Vec<_> = reached.iter().filter(|name| BANNED_FROM_CORE.contains(&name.as_str())).collect();
    assert!(pulled.is_empty(), "the core pulls {pulled:?}");
    assert!(reached.contains("bytes"), "dependencies are followed: {reached:?}");
}

#[test]
fn what_is_banned_would_be_found() {
    assert!(reached_from(&["tenfour-tokio"]).contains("tokio"));
}

#[test]
fn the_core_says_that_it_is_no_std_and_safe() {
    for name in CORE {
        let lib = fs::read_to_string(root().join("crates").join(name).join("src/lib.rs")).expect("a lib.rs");
        for attribute in ["#![no_std]", "#![forbid(unsafe_code)]"] {
            assert!(lib.lines().any(|line| line == attribute), "{name} lacks {attribute}");
        }
    }
}

/// The packages in `crates/`.
fn crates() -> Vec<Package> {
    let folder = root().join("crates");
    packages().into_values().filter(|package| package.manifest.starts_with(&folder)).collect()
}

/// Names of all packages that are built into those named, at any distance. What a macro needs runs at build time, and
/// is not among them.
fn reached_from(names: &[&str]) -> BTreeSet<String> {
    let packages = packages();
    let mut todo: Vec<_> =
        packages.iter().filter(|(_, p)| names.contains(&p.name.as_str())).map(|(id, _)| id).collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if !packages[id].is_macro && reached.insert(id) {
            todo.extend(&packages[id].resolved);
        }
    }
    reached.into_iter().map(|id| packages[id].name.clone()).collect()
}
