//! docs/GUARANTEES.md claims something in each cell of its table, and names the test that shows it. This sees that the
//! tests exist.

use std::{collections::BTreeSet, fs, path::Path};

use crate::workspace::root;

#[test]
fn every_cell_names_a_test_that_exists() {
    let page = Page::read();
    for cell in page.cells() {
        assert!(cell.starts_with("n/a") || cell.contains("[^"), "`{cell}` names no test");
    }
    let (named, defined) = (page.named(), page.defined());
    let labels: BTreeSet<_> = defined.iter().map(|test| test.label).collect();
    assert_eq!(named, labels, "what is named in the table, and what is listed under it");
    for test in defined {
        assert!(test.exists(), "{}: no test `{}`", test.path, test.name);
    }
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    let here = |name| Named { label: "1", path: "tests/it/guarantees.rs", name };
    assert!(here("every_cell_names_a_test_that_exists").exists());
    assert!(!here("every_cell").exists());
    assert!(!Named { path: "tests/it/nowhere.rs", ..here("every_cell_names_a_test_that_exists") }.exists());
    let stock = |name| Named { label: "1", path: "tests/stock/faults/ledger.test.mjs", name };
    assert!(stock("everything once and in order").exists());
    assert!(!stock("everything once").exists());
}

struct Page(String);

/// A line `[^label]: path: name`.
struct Named<'a> {
    label: &'a str,
    path: &'a str,
    name: &'a str,
}

impl Page {
    fn read() -> Self {
        Self(fs::read_to_string(root().join("docs/GUARANTEES.md")).expect("the page can be read"))
    }

    /// The cells of the first table, without its head and its first column.
    fn cells(&self) -> Vec<&str> {
        let rows =
            self.0.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let cells: Vec<_> =
            rows.skip(2).flat_map(|row| row.trim_matches('|').split('|').skip(1).map(str::trim)).collect();
        assert!(cells.len() > 50, "the table was not found");
        cells
    }

    fn named(&self) -> BTreeSet<&str> {
        let prose = self.0.lines().filter(|line| !line.starts_with("[^"));
        prose
            .flat_map(|line| line.split("[^").skip(1))
            .filter_map(|rest| Some(rest.split_once(']')?.0))
            .collect()
    }

    fn defined(&self) -> Vec<Named<'_>> {
        let lines = self.0.lines().filter_map(|line| line.strip_prefix("[^"));
        lines
            .map(|line| {
                let (label, rest) = line.split_once("]: `").expect("a label, and a path");
                let (path, rest) = rest.split_once("`: `").expect("a path, and a name");
                Named { label, path, name: rest.trim_end_matches('`') }
            })
            .collect()
    }
}

impl Named<'_> {
    fn exists(&self) -> bool {
        let Ok(source) = fs::read_to_string(root().join(self.path)) else { return false };
        if Path::new(self.path).extension().is_some_and(|extension| extension == "rs") {
            return source.contains(&format!("fn {}(", self.name));
        }
        ['"', '`'].iter().any(|quote| source.contains(&format!("test({quote}{}{quote}", self.name)))
    }
}
