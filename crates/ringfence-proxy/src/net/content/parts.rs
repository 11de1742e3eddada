//! Bodies of several parts (RFC 2046, section 5.1: forms with files, answers to several questions), each read as its own
//! head says: without base64, without quoted-printable, as a form.
//!
//! The whole of such a body is looked at as it is written in any case; here is how its parts read otherwise. What is
//! beside their bodies (heads, what comes before the first, and behind the last) nobody says anything of: it has to be
//! text, or one reader or another would find something else in it than was looked at. Readers differ in what ends a line
//! and in what may stand behind a boundary, too: what is a boundary to some alone makes the whole unclear.

mod lines;

use std::ops::Range;

use super::escapes::{self, Alphabet, Decoded};
use super::kind;
pub(super) use lines::whole_lines;
use lines::{End, goes_on_filled, has_stray, is_beside, is_text, is_utf8, last_line};

/// Longest boundary that is known, in bytes. RFC 2046 has 70.
const BOUNDARY_BYTES_MAX: usize = 200;

/// Most boundaries of parts within parts.
const NESTED_MAX: usize = 8;

/// Longest head of a part, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most bytes before the first part: who writes more means something else by it.
const BEFORE_BYTES_MAX: usize = 64 * 1024;

/// Longest line with a boundary, in bytes.
const LINE_BYTES_MAX: usize = 1024;

/// How many bytes of base64 say whether it is text.
const ENCODED_BYTES: usize = 2 * kind::SNIFF_BYTES;

/// What stands between parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Boundary {
    bytes: [u8; BOUNDARY_BYTES_MAX],
    length: usize,
    /// Parts that do not say what they are are messages, and no text (RFC 2046, section 5.1.5).
    is_digest: bool,
}

impl std::fmt::Debug for Boundary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Boundary").field(&String::from_utf8_lossy(self.get())).finish()
    }
}

impl Boundary {
    fn new(text: &str) -> Option<Boundary> {
        let mut bytes = [0; BOUNDARY_BYTES_MAX];
        let text = text.trim_end();
        bytes.get_mut(..text.len()).filter(|_| !text.is_empty())?.copy_from_slice(text.as_bytes());
        Some(Boundary { bytes, length: text.len(), is_digest: false })
    }

    /// The boundary that a type names; `None` where it names none, or several, or one in a way that not all readers know
    /// (`boundary*`, RFC 2231).
    pub(super) fn of(kind: &str) -> Option<Boundary> {
        let mut found = None;
        let (essence, mut rest) = kind.split_once(';')?;
        let is_digest = essence.to_ascii_lowercase().contains("digest");
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ';']);
            if rest.is_empty() {
                return found;
            }
            let (name, behind) = rest.split_once('=')?;
            let (value, behind) = value(behind)?;
            let name = name.trim().to_ascii_lowercase();
            if name.contains("boundary") {
                if found.is_some() || name != "boundary" {
                    return None;
                }
                found = Some(Boundary { is_digest, ..Boundary::new(value)? });
            }
            rest = behind;
        }
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// What a line is of this boundary.
    fn of_line(&self, line: &[u8]) -> Option<Line> {
        let rest = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(self.get()))?;
        let (kind, rest) = match rest.strip_prefix(b"--") {
            Some(rest) => (Line::Closes, rest),
            None => (Line::Begins, rest),
        };
        rest.trim_ascii().is_empty().then_some(kind)
    }
}

/// A line with a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// A part begins behind it.
    Begins,
    /// None does, but for readers that see one.
    Closes,
}

/// The value of a parameter, and what stands behind it.
fn value(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    match text.strip_prefix('"') {
        // What is escaped in it one reader takes so and another so.
        Some(quoted) => quoted.split_once('"').filter(|(value, _)| !value.contains('\\')),
        None => Some(text.split_once(';').unwrap_or((text, ""))),
    }
}

/// How a part is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Plainly,
    Base64,
    Quoted,
    /// As names and values, with `%XX`.
    Fields,
    /// In a way that cannot be read here.
    Otherwise,
}

/// Whether a part can be looked into, however it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Open,
    /// It has a head, an encoding or letters of its own.
    Closed,
}

/// A part.
#[derive(Debug, Clone, Copy)]
struct Body {
    written: Written,
    sight: Sight,
    /// How many letters of base64 came before what is there, beyond the last four, in each of its alphabets.
    phases: [usize; 2],
    /// Whether what fills base64 up has come.
    is_filled: bool,
    /// Whether this is the beginning of it.
    is_new: bool,
    /// Whether it is beside parts: behind the last, or before the first of those that are within it.
    is_beside: bool,
}

impl Body {
    /// What of it is in base64, in either alphabet where that is not the same.
    fn base64(&self, part: &str) -> Vec<Decoded> {
        let [standard, web] = self.phases;
        let is_plain = standard == web && !part.contains(['+', '/', '-', '_']);
        let all = Alphabet::ALL.into_iter().zip(self.phases).take(if is_plain { 1 } else { 2 });
        all.map(|(alphabet, phase)| escapes::base64(part, alphabet, phase)).collect()
    }
}

#[derive(Debug, Clone)]
enum At {
    /// Before the first part.
    Outside,
    /// In the head of a part; or behind the last, where some readers see one.
    Head(Line, String),
    Body(Body),
}

/// Where in such a body one is.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    boundaries: Vec<Boundary>,
    at: At,
    /// A line has begun of which the rest is still to come.
    within_line: bool,
    /// What ended the line before.
    last: Option<End>,
    /// What ends lines with boundaries and those of heads, by the first of them.
    ends: Option<End>,
    /// Nothing comes behind what is there.
    is_end: bool,
    /// How much has come before the first part, in bytes.
    before: usize,
    /// Something beside the bodies of parts is no text, or one reader takes it for the head of a part and another not.
    is_unclear: bool,
}

/// Why several parts cannot be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// One of them is no text, or written in a way of its own.
    Part,
    /// What is beside them is no text, or they cannot be told from it.
    Unclear,
}

impl Parts {
    pub(super) fn new(boundary: Boundary) -> Parts {
        Parts {
            boundaries: vec![boundary],
            at: At::Outside,
            within_line: false,
            last: None,
            ends: None,
            is_end: false,
            before: 0,
            is_unclear: false,
        }
    }

    /// How what comes next reads otherwise than it is written.
    pub(super) fn readings(&self, text: &str) -> Vec<Decoded> {
        let mut readings = Vec::new();
        for (at, body) in self.clone().over(text.as_bytes()) {
            let Some(part) = text.get(at.clone()) else { continue };
            let all = match body.written {
                Written::Plainly | Written::Otherwise => Vec::new(),
                Written::Base64 => body.base64(part),
                Written::Quoted => escapes::quoted(part).into_iter().collect(),
                Written::Fields => escapes::of_field(part).into_iter().collect(),
            };
            for reading in all.into_iter().map(|reading| reading.from(at.start)) {
                readings.extend(escapes::within(&reading));
                readings.extend(escapes::fields_within(&reading));
                readings.push(reading);
            }
        }
        readings
    }

    /// Whether what comes next can be told apart, and all beside the bodies of parts is text.
    pub(super) fn check_beside(&self, bytes: &[u8]) -> Result<(), Unreadable> {
        let mut parts = self.clone();
        parts.over(bytes);
        if parts.is_unclear { Err(Unreadable::Unclear) } else { Ok(()) }
    }

    /// The same where nothing comes behind it: something without any part is none of this, and no head ends so.
    pub(super) fn check_end(&self, bytes: &[u8]) -> Result<(), Unreadable> {
        let mut parts = Parts { is_end: true, ..self.clone() };
        parts.over(bytes);
        let is_whole = match &parts.at {
            At::Outside => parts.before == 0,
            At::Head(Line::Begins, head) => head.is_empty(),
            At::Head(Line::Closes, _) | At::Body(_) => true,
        };
        if is_whole && !parts.is_unclear { Ok(()) } else { Err(Unreadable::Unclear) }
    }

    /// Whether a part that begins in what comes next cannot be looked into: it is no text, or written in a way of its own.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<(), Unreadable> {
        for (at, body) in self.clone().over(bytes) {
            let part = bytes.get(at).unwrap_or_default();
            if body.written == Written::Fields
                && kind::fields_name_letters(&String::from_utf8_lossy(part), false)
            {
                return Err(Unreadable::Part);
            }
            if !body.is_new {
                continue;
            }
            let is_text = match body.written {
                Written::Otherwise => false,
                Written::Base64 => {
                    let part = String::from_utf8_lossy(part.get(..ENCODED_BYTES).unwrap_or(part));
                    let is_web = part.contains(['-', '_']);
                    let alphabet = if is_web { Alphabet::Web } else { Alphabet::Standard };
                    let reading = escapes::base64(&part, alphabet, 0);
                    // What has letters of both is read so by one and so by another.
                    !(is_web && part.contains(['+', '/'])) && is_text(reading.text.as_bytes())
                }
                Written::Plainly | Written::Quoted | Written::Fields => is_text(part),
            };
            if !is_text || body.sight == Sight::Closed {
                return Err(Unreadable::Part);
            }
        }
        Ok(())
    }

    /// Whether what comes next may go on a part whose lines are none of its own.
    pub(super) fn is_wrapped(&self, bytes: &[u8]) -> bool {
        let mut parts = self.clone();
        parts.over(bytes);
        matches!(parts.at, At::Body(Body { written: Written::Base64 | Written::Quoted, .. }))
    }

    /// What was next has passed.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        self.over(bytes);
    }

    /// Goes over what comes next: the parts in it, or what of them is.
    fn over(&mut self, bytes: &[u8]) -> Vec<(Range<usize>, Body)> {
        let mut found: Vec<(Range<usize>, Body)> = Vec::new();
        let mut start = 0_usize;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let at = start..start.saturating_add(line.len());
            start = at.end;
            let continues = std::mem::replace(&mut self.within_line, line.last() != Some(&b'\n'));
            let boundary = if continues { None } else { self.boundary(line) };
            self.is_unclear |= !self.ends_as_others(line, boundary) || self.has_hidden(line);
            self.last = End::of(line).or(self.last);
            if let Some(kind) = boundary {
                // A head that does not end is none, to some.
                self.is_unclear |=
                    matches!(&self.at, At::Head(Line::Begins, head) if !head.is_empty());
                self.at = At::Head(kind, String::new());
                continue;
            }
            self.is_unclear |= !self.may_be(line, continues);
            match &mut self.at {
                At::Outside => self.before = self.before.saturating_add(line.len()),
                At::Head(kind, head) => {
                    if head.len() <= HEAD_BYTES_MAX {
                        head.push_str(&String::from_utf8_lossy(line));
                    }
                    if !self.within_line && last_line(head).trim_ascii().is_empty() {
                        let (kind, head) = (*kind, std::mem::take(head));
                        let body = self.body(kind, &head);
                        self.at = At::Body(body);
                    }
                }
                At::Body(body) => {
                    match found.last_mut().filter(|(last, _)| last.end == at.start) {
                        Some((last, _)) => last.end = at.end,
                        None => found.push((at, *body)),
                    }
                    body.is_new = false;
                    self.is_unclear |= match body.written {
                        Written::Base64 => goes_on_filled(line, body.is_filled),
                        Written::Quoted => has_stray(line),
                        Written::Plainly | Written::Fields | Written::Otherwise => false,
                    };
                    body.is_filled |= line.contains(&b'=');
                    for (phase, alphabet) in body.phases.iter_mut().zip(Alphabet::ALL) {
                        *phase = escapes::phase(line, alphabet, *phase);
                    }
                }
            }
        }
        found
    }

    /// What a line is of the boundaries that are known; of several that say otherwise nobody knows which is meant. Those
    /// of parts within a part are known as long as that goes on.
    fn boundary(&mut self, line: &[u8]) -> Option<Line> {
        let all = self.boundaries.iter().enumerate();
        let mut found = all.filter_map(|(at, boundary)| Some((at, boundary.of_line(line)?)));
        let (outermost, first) = found.next()?;
        let is_clear = found.all(|(_, kind)| kind == first);
        self.boundaries.truncate(outermost.saturating_add(1));
        // Spaces behind it some take for nothing, and some for no boundary.
        let bare = line.trim_ascii_end().len();
        let is_padded =
            line.get(bare..).is_some_and(|end| !matches!(end, b"" | b"\n" | b"\r\n" | b"\r"));
        let is_long = line.len() > LINE_BYTES_MAX;
        self.is_unclear |= !is_clear || is_long || (is_padded && self.is_whole(line));
        Some(first)
    }

    /// Whether a line is known to be one: of others more is to come.
    fn is_whole(&self, line: &[u8]) -> bool {
        self.is_end || line.ends_with(b"\n")
    }

    /// Whether a line ends as all do by which parts are told apart: to some readers `\n` alone ends none, and some take
    /// what the first has for all.
    fn ends_as_others(&mut self, line: &[u8], boundary: Option<Line>) -> bool {
        let end = End::of(line);
        if boundary.is_some() && self.ends.is_none() {
            self.ends = end;
        }
        let is_in_head = matches!(self.at, At::Head(Line::Begins, _));
        let is_alike = |end: Option<End>| end.is_none() || self.ends.is_none() || end == self.ends;
        match boundary {
            Some(_) => is_alike(end) && (is_alike(self.last) || !self.is_whole(line)),
            None if is_in_head || self.ends == Some(End::Lf) => is_alike(end),
            None => true,
        }
    }

    /// Whether there is a boundary in a line behind `\r`, which to some ends a line.
    fn has_hidden(&self, line: &[u8]) -> bool {
        let is_boundary = |at: usize| {
            let rest = line.get(at.saturating_add(1)..).unwrap_or_default();
            let behind = rest.strip_prefix(b"--").unwrap_or_default();
            self.boundaries.iter().any(|boundary| behind.starts_with(boundary.get()))
        };
        memchr::memchr_iter(b'\r', line).any(is_boundary)
    }

    /// Whether a line, or the rest of one, may stand where it does.
    fn may_be(&self, line: &[u8], continues: bool) -> bool {
        match &self.at {
            At::Outside => {
                is_beside(line) && is_utf8(line, continues) && self.before <= BEFORE_BYTES_MAX
            }
            At::Head(kind, head) => {
                let is_utf8 = *kind == Line::Begins || is_utf8(line, continues);
                is_beside(line) && is_utf8 && head.len() <= HEAD_BYTES_MAX
            }
            At::Body(Body { is_beside: true, .. }) => is_beside(line) && is_utf8(line, continues),
            At::Body(_) => true,
        }
    }

    /// The part that has this head.
    fn body(&mut self, kind: Line, head: &str) -> Body {
        // Some readers take a line of spaces for the end of a head, and some for a line of it.
        let is_ended = last_line(head).trim_end_matches('\r').is_empty();
        // A line that begins with a space goes on the one before.
        let head = head.replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ");
        // Behind a line that is none of a head some are in the body.
        let is_head = head.trim_end().lines().all(|line| line.contains(':'));
        self.is_unclear |= kind == Line::Begins && !(is_ended && is_head);
        let known = self.boundaries.len();
        let is_in_digest = self.boundaries.last().is_some_and(|boundary| boundary.is_digest);
        let (mut written, mut is_encoded) = (Written::Plainly, false);
        let (mut has_type, mut is_closed) = (false, head.len() > HEAD_BYTES_MAX);
        for line in head.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            let name = name.trim().to_ascii_lowercase();
            let now = match name.as_str() {
                "content-disposition" if kind::is_letters(value) => Written::Otherwise,
                "content-transfer-encoding" => encoding(value),
                "content-encoding" if !value.eq_ignore_ascii_case("identity") => Written::Otherwise,
                "content-type" => self.kind(value),
                _ => continue,
            };
            has_type |= name == "content-type";
            is_closed |= now == Written::Otherwise;
            // What is said of it twice may be meant so or so.
            written = match (written, now) {
                (one, Written::Plainly | Written::Otherwise)
                | (one @ (Written::Base64 | Written::Quoted), Written::Fields) => one,
                (Written::Plainly | Written::Fields, other) => other,
                (one, other) if one == other => one,
                (_, _) => Written::Otherwise,
            };
            is_encoded |= name == "content-transfer-encoding" && now != Written::Plainly;
        }
        // RFC 2045, section 6.4, has no encoding of several parts: some read them so and some as they are written.
        self.is_unclear |= is_encoded && self.boundaries.len() > known;
        is_closed |= is_in_digest && !has_type;
        let sight = if is_closed { Sight::Closed } else { Sight::Open };
        let is_beside = kind == Line::Closes || self.boundaries.len() > known;
        Body { written, sight, phases: [0; 2], is_filled: false, is_new: true, is_beside }
    }

    fn kind(&mut self, value: &str) -> Written {
        let lower = value.to_ascii_lowercase();
        let Some(essence) = kind::essence(&lower) else { return Written::Otherwise };
        if essence.starts_with("multipart/") {
            return match Boundary::of(value) {
                Some(boundary)
                    if self.boundaries.len() <= NESTED_MAX && !kind::hands_on(&lower) =>
                {
                    // Nobody knows which of them ends.
                    self.is_unclear |= self.boundaries.iter().any(|it| it.get() == boundary.get());
                    self.boundaries.push(boundary);
                    Written::Plainly
                }
                Some(_) | None => Written::Otherwise,
            };
        }
        // A message has a head of its own, which says how its body is written.
        if kind::is_message(&essence) || !kind::has_known_letters(&lower) {
            return Written::Otherwise;
        }
        let is_form = essence.starts_with("application/x-www-form-urlencoded");
        if is_form { Written::Fields } else { Written::Plainly }
    }
}

fn encoding(value: &str) -> Written {
    match value.to_ascii_lowercase().as_str() {
        "base64" => Written::Base64,
        "quoted-printable" => Written::Quoted,
        "7bit" | "8bit" | "binary" => Written::Plainly,
        _ => Written::Otherwise,
    }
}
