//! `curl` and `wget`: where they go, what they send, and which files they read and write.

use super::super::ArgumentRole;
use super::Taking;
use super::read::Word;

impl Taking<'_> {
    /// What fetches from addresses.
    pub(super) fn client(&mut self, words: &[Word], is_curl: bool) {
        let of = if is_curl { &CURL } else { &WGET };
        let mut rest = words.iter();
        let (mut goes, mut is_told_where) = (false, is_curl);
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
                goes = true;
                self.address(word);
                continue;
            }
            is_told_where |= PLACES.contains(&option);
            match (of.kind(option), value) {
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
        if goes && !is_told_where {
            // It names the file by the address.
            self.path(ArgumentRole::WritePath, &Word::known("."));
        }
    }

    fn of_client(&mut self, (kind, option): (OfClient, &str), value: &Word) {
        match kind {
            OfClient::Writes => {
                // What `#1` stands for is in the address.
                self.shell.opaque |= value.text.as_deref().is_some_and(|text| text.contains('#'));
                self.path(ArgumentRole::WritePath, value);
            }
            OfClient::Reads => {
                // Several in one.
                let is_several = |text: &str| text.contains(['{', '[']);
                self.shell.opaque |= value.text.as_deref().is_some_and(is_several);
                self.path(ArgumentRole::ReadPath, value);
            }
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
        let file = match option {
            "-F" | "--form" => {
                let content = text.split_once('=').map_or(text, |(_, content)| content);
                // Several files, files of headers, names in quotes.
                let names = content.starts_with(['@', '<']) && content.contains([',', '"', '\\']);
                self.shell.opaque |= names || text.contains("headers") || content.starts_with('=');
                content.strip_prefix(['@', '<'])
            }
            "--data-urlencode" if text.contains('=') => None,
            "--data-urlencode" => text.split_once('@').map(|(_, file)| file),
            "-b" | "--cookie" => (!text.contains('=')).then_some(text),
            "-w" | "--write-out" => {
                self.shell.opaque |= text.contains("%output{");
                text.strip_prefix('@')
            }
            _ => text.strip_prefix('@'),
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

/// The options of a client that are known.
struct Options {
    writes: &'static [&'static str],
    reads: &'static [&'static str],
    sends: &'static [&'static str],
    goes: &'static [&'static str],
    values: &'static [&'static str],
    flags: &'static [&'static str],
    /// Those of one letter, several of which may stand in one word.
    letters: &'static str,
    /// Those after which a file is written that the address names.
    names: &'static [char],
}

/// Options of `wget` after which it does not write where it is.
const PLACES: &[&str] =
    &["-O", "--output-document", "-P", "--directory-prefix", "--spider", "--version", "--help"];

const CURL: Options = Options {
    writes: &[
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
    reads: &["-T", "--upload-file", "-E", "--cert", "--key", "--cacert", "--netrc-file"],
    sends: &[
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
        "-w",
        "--write-out",
    ],
    goes: &["-x", "--proxy", "--url"],
    values: &[
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
        "-U",
        "--proxy-user",
        "--retry",
        "--retry-delay",
        "--retry-max-time",
        "--data-raw",
        "--max-redirs",
    ],
    flags: &[
        "--silent",
        "--show-error",
        "--location",
        "--fail",
        "--fail-with-body",
        "--compressed",
        "--insecure",
        "--include",
        "--head",
        "--verbose",
        "--get",
        "--globoff",
        "--http1.1",
        "--http2",
        "--version",
        "--help",
        "--progress-bar",
    ],
    letters: "sSLfkgIivnN46#GjOJ",
    names: &['O', 'J'],
};

const WGET: Options = Options {
    writes: &[
        "-O",
        "--output-document",
        "-P",
        "--directory-prefix",
        "-o",
        "--output-file",
        "-a",
        "--append-output",
        "--save-cookies",
    ],
    reads: &[
        "--post-file",
        "--body-file",
        "--certificate",
        "--private-key",
        "--ca-certificate",
        "--load-cookies",
    ],
    sends: &[],
    goes: &[],
    values: &[
        "-U",
        "--user-agent",
        "-T",
        "--timeout",
        "--connect-timeout",
        "-t",
        "--tries",
        "-w",
        "--wait",
        "--method",
        "--body-data",
        "--post-data",
        "--header",
        "--referer",
        "--user",
        "--max-redirect",
    ],
    flags: &[
        "--quiet",
        "--no-verbose",
        "-nv",
        "--no-clobber",
        "-nc",
        "--continue",
        "--spider",
        "--server-response",
        "--version",
        "--help",
        "--no-check-certificate",
    ],
    letters: "qSvcNd46",
    names: &[],
};

impl Options {
    fn kind(&self, option: &str) -> OfClient {
        let bundle = option.strip_prefix('-').filter(|it| !it.is_empty() && !it.starts_with('-'));
        let bundle = bundle.filter(|it| it.chars().all(|letter| self.letters.contains(letter)));
        match bundle {
            _ if self.writes.contains(&option) => OfClient::Writes,
            _ if self.reads.contains(&option) => OfClient::Reads,
            _ if self.sends.contains(&option) => OfClient::Sends,
            _ if self.goes.contains(&option) => OfClient::Goes,
            _ if self.values.contains(&option) => OfClient::Value,
            _ if self.flags.contains(&option) => OfClient::Flag,
            _ if option == "--remote-name" && !self.names.is_empty() => OfClient::Name,
            Some(bundle) if bundle.contains(self.names) => OfClient::Name,
            Some(_) => OfClient::Flag,
            // Also files of options, and ways to go elsewhere than to the host that is named.
            None => OfClient::Opaque,
        }
    }
}
