//! Names that a person, or a model, takes for one another.

use unicode_security::MixedScript as _;
use unicode_security::confusable_detection::skeleton;

/// What a name looks like: of two that look alike, either part is the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Looks {
    /// As it is written, without what divides its words.
    pub written: String,
    /// As it is read, whatever letters are large.
    pub read: String,
}

/// What a name looks like, by the confusable characters of Unicode (UTS 39), without `_`, `-`, `.` and `/`.
pub fn looks(name: &str) -> Looks {
    let plain: String = name.chars().filter(|it| !"_-./".contains(*it)).collect();
    let written = skeleton(&plain).collect::<String>().to_lowercase();
    let read = skeleton(&plain.to_lowercase()).collect::<String>().to_lowercase();
    Looks { written, read }
}

/// Whether a name has letters of several scripts that are not written together, as no word has.
pub fn mixes_scripts(name: &str) -> bool {
    !name.is_ascii() && !name.is_single_script()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(one: &str, other: &str) -> bool {
        let (one, other) = (looks(one), looks(other));
        one.written == other.written || one.read == other.read
    }

    #[test]
    fn names_that_differ_in_what_is_hardly_seen_look_alike() {
        for (one, other) in [
            ("read_file", "read_fi1e"),
            ("read_file", "r\u{435}ad_file"),
            ("read_file", "readFile"),
            ("read_file", "read-file"),
            ("read_file", "READ_FILE"),
            ("modern", "rnodern"),
            ("post", "p0st"),
        ] {
            assert!(alike(one, other), "{one} {other}");
        }
        for (one, other) in
            [("read_file", "write_file"), ("read_file", "read_files"), ("list", "last"), ("a", "b")]
        {
            assert!(!alike(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_name_in_letters_of_several_scripts_is_told_apart_from_one_in_any_single_script() {
        assert!(mixes_scripts("r\u{435}ad") && mixes_scripts("pa\u{3c1}er"));
        for name in
            ["read_file2", "\u{447}\u{438}\u{442}\u{430}\u{442}\u{44c}", "lire_\u{e9}t\u{e9}"]
        {
            assert!(!mixes_scripts(name), "{name}");
        }
    }
}
