//! Certificates as text (RFC 7468), as files of authorities have them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
/// What a certificate is called.
const PLAIN: [&str; 2] = ["CERTIFICATE", "X509 CERTIFICATE"];
/// The same with what OpenSSL adds, which others cannot read.
const OF_OPENSSL: &str = "TRUSTED CERTIFICATE";

/// One certificate of a file.
pub(super) struct Certificate<'a> {
    /// As the file has it, from its first line to its last.
    pub(super) text: &'a str,
    /// In bytes, by which it is known again.
    pub(super) bytes: Vec<u8>,
    pub(super) kind: Kind,
}

/// Who can read a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    OfOpenSsl,
}

/// The certificates of a file, in their order; keys and whatever else it has are left out.
pub(super) fn certificates(file: &str) -> impl Iterator<Item = Certificate<'_>> {
    let mut rest = file;
    std::iter::from_fn(move || {
        loop {
            let (_, from) = rest.split_at_checked(rest.find(BEGIN)?)?;
            rest = from.strip_prefix(BEGIN)?;
            let Some((label, body)) = rest.split_once(DASHES) else { continue };
            let Some(kind) = Kind::of(label) else { continue };
            let end = format!("END {label}-----");
            // Where something else begins before its end, it has none.
            let ended = body.split_once(DASHES);
            let ended =
                ended.and_then(|(encoded, after)| Some((encoded, after.strip_prefix(&end)?)));
            let Some((encoded, after)) = ended else { continue };
            let Ok(bytes) = decoded(encoded) else { continue };
            rest = after;
            let text = from.strip_suffix(after).unwrap_or(from);
            return Some(Certificate { text, bytes, kind });
        }
    })
}

impl Kind {
    fn of(label: &str) -> Option<Kind> {
        match label {
            OF_OPENSSL => Some(Kind::OfOpenSsl),
            label => PLAIN.contains(&label).then_some(Kind::Plain),
        }
    }
}

fn decoded(encoded: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let mut letters = String::with_capacity(encoded.len());
    encoded.lines().for_each(|line| letters.push_str(line.trim()));
    STANDARD.decode(letters)
}

#[cfg(test)]
mod tests {
    use super::{Kind, certificates};

    #[test]
    fn keys_and_comments_are_left_out() {
        let file = "# a comment\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n\
                    -----BEGIN CERTIFICATE-----\r\nAQID\r\n BAUG\r\n-----END CERTIFICATE-----\r\n\
                    -----BEGIN TRUSTED CERTIFICATE-----\nBwgJ\n-----END TRUSTED CERTIFICATE-----";
        let found: Vec<_> =
            certificates(file).map(|it| (it.bytes, it.kind == Kind::Plain)).collect();
        assert_eq!(found, [(vec![1, 2, 3, 4, 5, 6], true), (vec![7, 8, 9], false)]);
        assert!(
            certificates(file).all(|it| it.text.starts_with("-----B") && it.text.ends_with('-'))
        );
    }

    #[test]
    fn a_file_of_beginnings_is_read_once() {
        let file = "-----BEGIN CERTIFICATE-----\nAAAA\n".repeat(100_000);
        assert_eq!(certificates(&file).count(), 0);
        let file = file + "-----END CERTIFICATE-----";
        assert_eq!(certificates(&file).map(|it| it.bytes).collect::<Vec<_>>(), [[0, 0, 0]]);
    }

    #[test]
    fn what_is_broken_hides_nothing_behind_it() {
        let good = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        for broken in [
            "-----BEGIN CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n",
            "-----BEGIN \n",
            "-----BEGIN X509 CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END OTHER-----\n",
        ] {
            let file = format!("{broken}{good}");
            let last = certificates(&file).last().map(|it| it.bytes);
            assert_eq!(last, Some(vec![1, 2, 3]), "{broken:?}");
        }
        assert_eq!(certificates("").count(), 0);
    }
}
