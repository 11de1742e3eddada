//! Functions that only compute.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use sqlparser::ast::ObjectName;

/// The list; lines with `#` say where its parts are from.
const LIST: &str = include_str!("functions.txt");

static KNOWN: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| LIST.lines().filter(|line| !line.starts_with('#')).collect());

/// Whether a function of this name, in every database that has one, makes its result of its arguments, of the
/// rows that the statement names, of the time, or of what there is (tables, columns, users), and does nothing else.
///
/// A name with quotes is another one where it has capitals; a name in a schema is somebody's own.
pub(super) fn is_known(name: &ObjectName) -> bool {
    let parts: Option<Vec<_>> = name.0.iter().map(|part| part.as_ident()).collect();
    let last = match parts.as_deref() {
        Some([last]) => last,
        Some([schema, last]) if schema.value.eq_ignore_ascii_case("pg_catalog") => last,
        Some(_) | None => return false,
    };
    let small = last.value.to_ascii_lowercase();
    let same = last.quote_style.is_none() || small == last.value;
    same && KNOWN.contains(small.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_has_each_name_once() {
        let names: Vec<&str> = LIST.lines().filter(|line| !line.starts_with('#')).collect();
        let plain = |name: &&str| {
            let of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            !name.is_empty() && name.bytes().all(|byte| of_name(byte) || byte == b'_')
        };
        assert!(names.iter().all(plain));
        assert!(names.is_sorted_by(|one, next| one < next));
    }
}
