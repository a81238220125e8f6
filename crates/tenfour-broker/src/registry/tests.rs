extern crate std;

use alloc::{collections::BTreeMap, format, vec};
use core::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

fn registry(rules: impl IntoIterator<Item = Rule>) -> Registry<u32> {
    let mut registry = Registry::new(RegistryLimits::default(), WhenEmpty::Remove);
    for rule in rules {
        registry.declare(rule);
    }
    registry
}

fn pattern(text: &str) -> Rule {
    Rule::Pattern(Pattern::parse(text).expect("a pattern"))
}

#[test]
fn an_exact_rule_goes_first_and_then_their_order_decides() {
    let any = Rule::function(|name, _| name.len() < 8);
    let mut registry = registry([pattern("/t-{id}"), any, pattern("/{any}"), Rule::exact("/t-1")]);
    let made_by = |rule| Connect::Create(RuleIndex(rule));
    assert_eq!(registry.connect("/t-1", None), made_by(3));
    assert_eq!(registry.connect("/t-2", None), made_by(0));
    assert_eq!(registry.connect("/u-2", None), made_by(1));
    assert_eq!(registry.connect("/longer-than-that", None), made_by(2));
    assert_eq!(registry.connect("/longer/than/that", None), Connect::Unknown);
}

#[test]
fn a_function_sees_the_first_connection_alone() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let mut registry = registry([Rule::function(move |name, auth| {
        counter.fetch_add(1, Ordering::Relaxed);
        name == "/x" && auth == Some(r#"{"token":1}"#)
    })]);
    assert_eq!(registry.connect("/x", None), Connect::Unknown);
    let Connect::Create(rule) = registry.connect("/x", Some(r#"{"token":1}"#)) else { panic!("accepted") };
    registry.create("/x", rule, 7).expect("within the quota");
    assert_eq!(registry.connect("/x", None), Connect::Existing(7));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[test]
fn a_static_namespace_stays_and_costs_no_quota() {
    let mut registry = registry([Rule::exact("/")]);
    registry.limits.dynamic_namespaces = 0;
    let Connect::Create(rule) = registry.connect("/", None) else { panic!("declared") };
    registry.create("/", rule, 1).expect("static");
    assert_eq!(registry.connect("/", None), Connect::Existing(1));
    assert_eq!(registry.leave("/"), None);
    assert_eq!(registry.get("/"), Some(&1));
}

#[test]
fn a_dynamic_namespace_goes_with_its_last_connection() {
    let mut registry = registry([pattern("/{any}")]);
    registry.create("/x", RuleIndex(0), 1).expect("within the quota");
    registry.create("/x", RuleIndex(0), 2).expect("the first stays");
    assert_eq!(registry.leave("/x"), None, "nobody to leave");
    for _ in 0..2 {
        assert_eq!(registry.connect("/x", None), Connect::Existing(1));
    }
    assert_eq!((registry.leave("/x"), registry.leave("/x"), registry.leave("/x")), (None, Some(1), None));
    assert_eq!(registry.connect("/x", None), Connect::Create(RuleIndex(0)));
}

#[test]
fn a_kept_namespace_counts_against_the_quota() {
    let mut registry = registry([pattern("/{any}")]);
    (registry.when_empty, registry.limits.dynamic_namespaces) = (WhenEmpty::Keep, 1);
    registry.create("/x", RuleIndex(0), 1).expect("within the quota");
    registry.connect("/x", None);
    assert_eq!(registry.leave("/x"), None);
    assert_eq!(registry.connect("/y", None), Connect::QuotaExceeded);
    assert_eq!(registry.create("/y", RuleIndex(0), 1), Err(QuotaExceeded { limit: 1 }));
    assert_eq!(registry.connect("/x", None), Connect::Existing(1));
}

#[test]
fn a_long_name_is_unknown_unless_it_is_declared() {
    let long = format!("/{}", "x".repeat(256));
    let mut registry = registry([Rule::function(|_, _| true)]);
    assert_eq!(registry.connect(&long[..256], None), Connect::Create(RuleIndex(0)));
    assert_eq!(registry.connect(&long, None), Connect::Unknown);
    let rule = registry.declare(Rule::exact(long.clone()));
    assert_eq!(registry.connect(&long, None), Connect::Create(rule));
}

#[test]
fn the_namespaces_of_a_rule_come_by_name() {
    let mut registry = registry([pattern("/a-{x}"), pattern("/b-{x}")]);
    for (name, rule) in [("/b-1", 1), ("/a-2", 0), ("/a-1", 0)] {
        registry.create(name, RuleIndex(rule), 0).expect("within the quota");
    }
    let names = |rule| registry.of_rule(RuleIndex(rule)).map(|(name, _)| &**name).collect::<Vec<_>>();
    assert_eq!((names(0), names(1)), (vec!["/a-1", "/a-2"], vec!["/b-1"]));
    assert_eq!(registry.iter().count(), 3);
}

proptest! {
    /// The model: connections by name, under a quota of 2.
    #[test]
    fn connections_are_counted(calls in prop::collection::vec((any::<bool>(), 0..4usize), 1..60)) {
        let mut registry = registry([pattern("/d-{x}"), Rule::exact("/static")]);
        registry.limits.dynamic_namespaces = 2;
        let mut model = BTreeMap::new();
        for (connects, name) in calls {
            let name = ["/d-1", "/d-2", "/d-3", "/static"][name];
            let is_dynamic = name != "/static";
            if connects {
                let full = model.keys().filter(|name| **name != "/static").count() == 2;
                let mut answer = registry.connect(name, None);
                if let Connect::Create(rule) = answer {
                    prop_assert!(!model.contains_key(name));
                    registry.create(name, rule, 0).expect("within the quota");
                    answer = registry.connect(name, None);
                }
                if is_dynamic && full && !model.contains_key(name) {
                    prop_assert_eq!(answer, Connect::QuotaExceeded);
                } else {
                    prop_assert_eq!(answer, Connect::Existing(0));
                    *model.entry(name).or_insert(0) += 1;
                }
            } else {
                let connections = model.get(name).copied().unwrap_or(0);
                let is_last = is_dynamic && connections == 1;
                prop_assert_eq!(registry.leave(name), is_last.then_some(0));
                if is_last {
                    model.remove(name);
                } else if connections > 0 {
                    model.insert(name, connections - 1);
                }
            }
            prop_assert!(registry.iter().map(|(name, _)| &**name).eq(model.keys().copied()));
            let dynamic = model.keys().filter(|name| **name != "/static").count();
            prop_assert_eq!(registry.dynamic_namespaces(), dynamic);
        }
    }
}
