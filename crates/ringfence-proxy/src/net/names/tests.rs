use super::*;

#[test]
fn a_name_keeps_its_addresses_and_shares_them_with_nobody() {
    let names = Names::default();
    let first = names.addresses("one.example").unwrap();
    let second = names.addresses("two.example").unwrap();
    assert_eq!(names.addresses("one.example").unwrap(), first);
    assert_ne!(first.v4, second.v4);
    assert_ne!(first.v6, second.v6);
    for address in [IpAddr::V4(first.v4), IpAddr::V6(first.v6), first.v4.to_ipv6_mapped().into()] {
        assert_eq!(names.meaning(address), Meaning::Name("one.example".into()));
    }
}

#[test]
fn an_address_that_nobody_was_given_stands_for_nothing() {
    let names = Names::default();
    names.addresses("one.example").unwrap();
    for guess in [
        "198.18.0.0",
        "198.18.0.1",
        "198.18.0.3",
        "198.19.255.255",
        "fd00:7269:6e67::",
        "fd00:7269:6e67::1",
        "fd00:7269:6e67::3",
        "fd00:7269:6e67:0:1::2",
    ] {
        assert_eq!(names.meaning(guess.parse().unwrap()), Meaning::Nothing, "{guess}");
    }
    for other in ["198.20.0.2", "198.17.0.2", "fd00:7269:6e67:1::2", "127.0.0.1", "::1"] {
        assert_eq!(names.meaning(other.parse().unwrap()), Meaning::Itself, "{other}");
    }
}

#[test]
fn names_are_bounded_and_those_that_are_there_stay() {
    let names = Names::default();
    for count in 0..NAMES_MAX {
        assert!(names.addresses(&format!("n{count}.example")).is_some());
    }
    assert_eq!(names.addresses("one.too.many"), None);
    let last = names.addresses(&format!("n{}.example", NAMES_MAX - 1)).unwrap();
    let name = format!("n{}.example", NAMES_MAX - 1);
    assert_eq!(names.meaning(last.v4.into()), Meaning::Name(name.into()));
}
