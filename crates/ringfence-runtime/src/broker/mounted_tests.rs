use ringfence_core::PathRule;

use super::*;

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::parse(text).unwrap()
}

fn tree(text: &str, access: Access) -> Tree {
    Tree { path: path(text), access }
}

fn plan(rules: &[(&str, Access)]) -> FilePlan {
    let rules = rules.iter().map(|(text, access)| PathRule {
        path: path(text),
        access: *access,
        because: None,
    });
    FilePlan { rules: rules.collect(), ..FilePlan::default() }
}

fn mounted(trees: &[(&str, Access)]) -> Mounted {
    let mut mounted = Mounted::default();
    for (text, access) in trees {
        mounted.add(&path(text), *access);
    }
    mounted
}

use Access::{Hidden, Read, Write};

#[test]
fn an_older_mount_beneath_a_newer_one_leaves_too() {
    let mut both = mounted(&[("/d", Read), ("/d", Write)]);
    let leaving = both.take_stale(&plan(&[]), &plan(&[]));
    assert_eq!(leaving.trees, [tree("/d", Write), tree("/d", Read)]);
    assert_eq!(both.access(&path("/d/f")), Hidden);
}

#[test]
fn a_copy_in_a_newer_mount_above_leaves_with_what_it_copies() {
    let mut both = mounted(&[("/d/sub", Write), ("/d", Read)]);
    let leaving = both.take_stale(&plan(&[("/d", Read)]), &plan(&[]));
    assert_eq!(leaving.trees, [tree("/d", Read), tree("/d/sub", Write)]);
    assert_eq!(leaving.revoked, [tree("/d/sub", Write)]);
}

#[test]
fn what_is_still_allowed_and_touches_nothing_stays() {
    let mut three = mounted(&[("/a", Read), ("/d", Read), ("/ab", Write)]);
    let after = plan(&[("/a", Read), ("/ab", Write)]);
    let leaving = three.take_stale(&after, &plan(&[]));
    assert_eq!(leaving.trees, [tree("/d", Read)]);
    assert_eq!(three.access(&path("/a/x")), Read);
    assert_eq!(three.access(&path("/ab")), Write);
}

#[test]
fn a_new_forbid_beneath_takes_the_whole_tree_away() {
    let after = plan(&[("/d", Read), ("/d/secret", Hidden)]);
    let leaving = mounted(&[("/d", Read)]).take_stale(&after, &plan(&[]));
    assert_eq!(leaving.trees, [tree("/d", Read)]);
    let known = plan(&[("/d/secret", Hidden)]);
    assert_eq!(mounted(&[("/d", Read)]).take_stale(&after, &known), Leaving::default());
}
