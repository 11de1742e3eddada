//! Single members of JSON replaced; all others stay as they stood.

use super::frame::{Members, quoted};

/// A member and its new value, which is JSON; `None` takes it away.
pub type Change<'a> = (&'a str, Option<String>);

/// An object with some members changed; what is no object becomes one of the new members alone.
pub fn object(raw: Option<&str>, changes: &[Change<'_>]) -> String {
    let members = raw.and_then(Members::of);
    let changed = |name: &str| changes.iter().find(|(of, _)| *of == name);
    let mut text = String::with_capacity(raw.map_or(2, str::len).saturating_add(64));
    text.push('{');
    let mut put = |name: &str, value: &str| {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&quoted(name));
        text.push(':');
        text.push_str(value);
    };
    for (name, value) in members.iter().flat_map(Members::iter) {
        match changed(name) {
            None => put(name, value),
            Some((_, Some(new))) => put(name, new),
            Some((_, None)) => {}
        }
    }
    let is_there = |name: &str| members.as_ref().is_some_and(|all| all.get(name).is_some());
    for (name, new) in changes.iter().filter(|(name, _)| !is_there(name)) {
        if let Some(new) = new {
            put(name, new);
        }
    }
    text.push('}');
    text
}

/// An object with a member changed that is an object itself; one that is left empty is taken away.
pub fn within(raw: Option<&str>, name: &str, changes: &[Change<'_>]) -> String {
    let inner = raw.and_then(Members::of).and_then(|all| all.get(name));
    let new = object(inner, changes);
    object(raw, &[(name, (new != "{}").then_some(new))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_stays_as_it_stood() {
        let raw = r#"{ "a" : 1.50e1, "\u0062":{"x" : [ ]}, "c":"\u00e9" }"#;
        assert_eq!(object(Some(raw), &[]), r#"{"a":1.50e1,"b":{"x" : [ ]},"c":"\u00e9"}"#);
        let changes = [("b", None), ("c", Some("2".to_owned())), ("d", Some("3".to_owned()))];
        assert_eq!(object(Some(raw), &changes), r#"{"a":1.50e1,"c":2,"d":3}"#);
        assert_eq!(object(None, &changes), r#"{"c":2,"d":3}"#);
    }

    #[test]
    fn an_object_within_another_is_changed_or_made() {
        let set = [("k", Some("1".to_owned()))];
        assert_eq!(within(None, "_meta", &set), r#"{"_meta":{"k":1}}"#);
        assert_eq!(
            within(Some(r#"{"_meta":{"y":2}}"#), "_meta", &set),
            r#"{"_meta":{"y":2,"k":1}}"#
        );
        assert_eq!(
            within(Some(r#"{"_meta":{"k":2},"a":0}"#), "_meta", &[("k", None)]),
            r#"{"a":0}"#
        );
    }
}
