//! Stand-ins look like what they stand for, and tell nothing of it.

use super::*;

fn stand_in(value: &str) -> String {
    Shape::of(value).sentinel().unwrap().as_str().to_owned()
}

#[test]
fn a_stand_in_has_the_beginning_length_and_characters_of_its_secret() {
    for (value, prefix) in [
        ("sk-ant-api03-abcdefGHIJ_-klmnop0123456789-XYZabcdAA", "sk-ant-api03-"),
        ("sk-proj-abcdefGHIJklmnop0123456789", "sk-proj-"),
        ("ghp_abcdefghijklmnopqrstuvwxyzABCD012345", "ghp_"),
        ("github_pat_11ABCDEFG0abcdefghijklmnop_xyz", "github_pat_"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIA"),
        ("sk_live_51ABCDEFGabcdefghijklmnop", "sk_live_"),
        ("AIzaSyA-abcdefghijklmnopqrstuvwxyz01234", "AIza"),
    ] {
        let made = stand_in(value);
        assert!(made.starts_with(prefix), "{made}");
        assert_eq!(made.len(), value.len());
        assert_ne!(made, value);
    }
    assert!(
        stand_in("AKIAIOSFODNN7EXAMPLE")
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    );
    assert!(stand_in("0123456789abcdef0123456789abcdef").bytes().all(|b| b.is_ascii_hexdigit()));
}

#[test]
fn each_session_has_another_stand_in() {
    let shape = Shape::of("ghp_abcdefghijklmnopqrstuvwxyzABCD012345");
    assert_ne!(shape.sentinel().unwrap(), shape.sentinel().unwrap());
}

#[test]
fn a_short_secret_has_a_stand_in_that_cannot_turn_up_by_chance() {
    assert!(stand_in("hunter22").len() >= RANDOM_CHARS_MIN);
}

#[test]
fn a_shape_says_nothing_of_the_characters() {
    let value = "correct-horse-battery-staple-9";
    let shape = serde_json::to_string(&Shape::of(value)).unwrap();
    for length in 3..value.len() {
        assert!(!shape.contains(value.get(..length).unwrap()), "{shape}");
    }
}
