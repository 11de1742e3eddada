//! `curl` and `wget`: where they go, what they send, and which files they read and write.

use super::super::ArgumentRole;
use super::Taking;
use super::read::Word;

impl Taking<'_> {
    /// What fetches from addresses.
    pub(super) fn client(&mut self, words: &[Word], is_curl: bool) {
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let Some(text) = word.text.as_deref() else {
                self.shell.opaque = true;
                continue;
            };
            let (option, value) = match text.split_once('=').filter(|_| text.starts_with("--")) {
                Some((option, value)) => (option, Some(Word::known(value))),
                None => (text, None),
            };
            if !text.starts_with('-') {
                self.address(word);
                continue;
            }
            match (of_client(option, is_curl), value) {
                (OfClient::Flag, _) => {}
                (OfClient::Name, _) => self.path(ArgumentRole::WritePath, &Word::known(".")),
                (OfClient::Opaque, _) => self.shell.opaque = true,
                (kind, Some(value)) => self.of_client((kind, option), &value),
                (kind, None) => match rest.next() {
                    Some(value) => self.of_client((kind, option), value),
                    None => self.shell.opaque = true,
                },
            }
        }
    }

    fn of_client(&mut self, (kind, option): (OfClient, &str), value: &Word) {
        match kind {
            OfClient::Writes => self.path(ArgumentRole::WritePath, value),
            OfClient::Reads => self.path(ArgumentRole::ReadPath, value),
            OfClient::Sends => self.given(option, value),
            OfClient::Goes => self.address(value),
            OfClient::Value => {}
            OfClient::Flag | OfClient::Name | OfClient::Opaque => self.shell.opaque = true,
        }
    }

    /// What is sent; with `@` or `<` the content of a file.
    fn given(&mut self, option: &str, value: &Word) {
        let Some(text) = value.text.as_deref() else {
            self.shell.opaque = true;
            return;
        };
        let is_form = matches!(option, "-F" | "--form" | "--data-urlencode");
        let is_cookie = matches!(option, "-b" | "--cookie");
        let file = match text.split_once(['@', '<']) {
            Some(("", file)) => Some(file),
            Some((name, file)) if is_form && !name.contains('@') => Some(file),
            None if is_cookie && !text.contains('=') => Some(text),
            Some(_) | None => None,
        };
        if let Some(file) = file {
            let file = file.split(';').next().unwrap_or(file);
            self.path(ArgumentRole::ReadPath, &Word::known(file));
        }
    }

    fn address(&mut self, word: &Word) {
        match word.text.as_deref() {
            Some(text) if text.contains("://") => self.host(text),
            Some(text) => self.host(&format!("http://{text}")),
            None => self.shell.opaque = true,
        }
    }
}

/// What an option of `curl` or `wget` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfClient {
    /// It stands alone.
    Flag,
    /// A file is written that the address names.
    Name,
    /// Its value is a file that is written.
    Writes,
    /// Its value is a file that is read.
    Reads,
    /// Its value is sent, or the content of a file that it names.
    Sends,
    /// Its value is an address.
    Goes,
    /// Its value is none of these.
    Value,
    /// What it does is not known.
    Opaque,
}

/// Options with files that are written, by `curl` and by `wget`.
const WRITTEN: [&[&str]; 2] = [
    &[
        "-o",
        "--output",
        "-c",
        "--cookie-jar",
        "-D",
        "--dump-header",
        "--trace",
        "--trace-ascii",
        "--output-dir",
    ],
    &[
        "-O",
        "--output-document",
        "-P",
        "--directory-prefix",
        "-o",
        "--output-file",
        "-a",
        "--save-cookies",
    ],
];
/// The same with files that are read.
const READ: [&[&str]; 2] = [
    &["-T", "--upload-file", "-E", "--cert", "--key", "--cacert", "--netrc-file"],
    &[
        "--post-file",
        "--body-file",
        "-i",
        "--input-file",
        "--certificate",
        "--private-key",
        "--load-cookies",
    ],
];
const SENT: &[&str] = &[
    "-d",
    "--data",
    "--data-binary",
    "--data-ascii",
    "--data-urlencode",
    "--json",
    "-F",
    "--form",
    "-b",
    "--cookie",
    "-H",
    "--header",
];
const VALUES: &[&str] = &[
    "-X",
    "--request",
    "-A",
    "--user-agent",
    "-e",
    "--referer",
    "-m",
    "--max-time",
    "--connect-timeout",
    "-u",
    "--user",
    "--retry",
    "-w",
    "--write-out",
    "-U",
    "--timeout",
    "-t",
    "--tries",
    "--method",
    "--body-data",
    "--post-data",
    "--data-raw",
    "--max-redirs",
    "--retry-delay",
];
const FLAGS: &[&str] = &[
    "--silent",
    "--show-error",
    "--location",
    "--fail",
    "--compressed",
    "--insecure",
    "--include",
    "--head",
    "--verbose",
    "--get",
    "--http1.1",
    "--http2",
    "--quiet",
    "--no-verbose",
    "--spider",
    "--server-response",
    "--version",
    "--help",
    "--progress-bar",
    "--no-check-certificate",
    "--fail-with-body",
    "--globoff",
];

fn of_client(option: &str, is_curl: bool) -> OfClient {
    let of = |all: [&[&str]; 2]| {
        let [curl, wget] = all;
        if is_curl { curl.contains(&option) } else { wget.contains(&option) }
    };
    // Several letters in one, which take nothing.
    let letters = if is_curl { "sSLfkgIivnN46#GjOJ" } else { "qSvcNkpd46" };
    let bundle = option.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
    if of(WRITTEN) {
        OfClient::Writes
    } else if of(READ) {
        OfClient::Reads
    } else if SENT.contains(&option) {
        OfClient::Sends
    } else if ["-x", "--proxy", "--url"].contains(&option) {
        OfClient::Goes
    } else if VALUES.contains(&option) {
        OfClient::Value
    } else if FLAGS.contains(&option) {
        OfClient::Flag
    } else if option == "--remote-name" {
        OfClient::Name
    } else {
        match bundle
            .filter(|bundle| !bundle.is_empty() && bundle.chars().all(|it| letters.contains(it)))
        {
            Some(bundle) if is_curl && bundle.contains(['O', 'J']) => OfClient::Name,
            Some(_) => OfClient::Flag,
            // Also files of options, and ways to go elsewhere than to the host that is named.
            None => OfClient::Opaque,
        }
    }
}
