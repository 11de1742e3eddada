//! Messages over standard input and output: one a line, MCP "stdio transport".

use std::io::{self, BufRead, Write};

/// Longest message that is read unless the settings say otherwise, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much is kept of a message that is too long, in bytes: what it is called stands there.
pub const HEAD_BYTES: usize = 4096;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// A line, without its end.
    Line(Vec<u8>),
    /// One that is too long; its beginning is kept ([`HEAD_BYTES`]), and the next line comes next.
    TooLong(Vec<u8>),
    /// There is nothing more. What came before without an end of line is no message.
    End,
}

/// Reads a line of at most `bytes_max` bytes; empty ones are passed over.
pub fn read(from: &mut impl BufRead, bytes_max: usize) -> io::Result<Read> {
    let mut pieces = Pieces::default();
    loop {
        let there = from.fill_buf()?;
        if there.is_empty() {
            return Ok(Read::End);
        }
        let end = memchr::memchr(b'\n', there);
        let part = there.get(..end.unwrap_or(there.len())).unwrap_or_default();
        pieces.keep(part, bytes_max);
        let taken = part.len().saturating_add(usize::from(end.is_some()));
        from.consume(taken);
        if end.is_some()
            && let Some(read) = pieces.ended()
        {
            return Ok(read);
        }
    }
}

/// Lines of what comes piece by piece.
#[derive(Debug, Default)]
pub struct Pieces {
    line: Vec<u8>,
    too_long: bool,
}

impl Pieces {
    /// Tells of the lines that end within the next piece, as [`read`] does; that there is nothing more is for who reads.
    pub fn push(&mut self, piece: &[u8], bytes_max: usize, told: &mut dyn FnMut(Read)) {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.keep(rest.get(..end).unwrap_or_default(), bytes_max);
            rest = rest.get(end.saturating_add(1)..).unwrap_or_default();
            if let Some(read) = self.ended() {
                told(read);
            }
        }
        self.keep(rest, bytes_max);
    }

    /// What the line is that has ended; `None` of an empty one.
    fn ended(&mut self) -> Option<Read> {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            return Some(Read::TooLong(line));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        (!line.iter().all(u8::is_ascii_whitespace)).then_some(Read::Line(line))
    }

    fn keep(&mut self, part: &[u8], bytes_max: usize) {
        if self.too_long {
            return;
        }
        if self.line.len().saturating_add(part.len()) <= bytes_max {
            self.line.extend_from_slice(part);
            return;
        }
        // What is kept of it is a copy: the line's own memory is given back.
        let head = self.line.iter().chain(part).take(HEAD_BYTES.min(bytes_max)).copied().collect();
        (self.line, self.too_long) = (head, true);
    }
}

/// A message as one line. Ends of line within it, which JSON allows between its parts, become spaces.
pub fn line(message: String) -> Vec<u8> {
    let mut line = message.into_bytes();
    let mut from = 0_usize;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', line.get(from..).unwrap_or_default()) {
        from = from.saturating_add(at);
        if let Some(end) = line.get_mut(from) {
            *end = b' ';
        }
    }
    line.push(b'\n');
    line
}

/// Writes a message as one line.
pub fn write(to: &mut impl Write, message: &str) -> io::Result<()> {
    to.write_all(&line(message.to_owned()))?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn all(bytes: &[u8], bytes_max: usize) -> Vec<Read> {
        // A small buffer, so that lines come in parts.
        let mut from = BufReader::with_capacity(3, bytes);
        let mut all = Vec::new();
        loop {
            match read(&mut from, bytes_max).unwrap() {
                Read::End => return all,
                other @ (Read::Line(_) | Read::TooLong(_)) => all.push(other),
            }
        }
    }

    #[test]
    fn a_line_is_a_message_however_it_arrives() {
        let line = |text: &str| Read::Line(text.as_bytes().to_vec());
        assert_eq!(all(b"{\"a\":1}\r\n\n  \n[]\nrest", 100), [line("{\"a\":1}"), line("[]")]);
        assert_eq!(
            all(b"12345\n123456\n1\n", 5),
            [line("12345"), Read::TooLong(b"12345".to_vec()), line("1")]
        );
        assert_eq!(all(b"", 5), []);
    }

    /// However it is cut into pieces, the same is told.
    #[track_caller]
    fn in_pieces(bytes: &[u8], bytes_max: usize) {
        let whole = all(bytes, bytes_max);
        for length in 1..=bytes.len().max(1) {
            let (mut pieces, mut told) = (Pieces::default(), Vec::new());
            for piece in bytes.chunks(length) {
                pieces.push(piece, bytes_max, &mut |read| told.push(read));
            }
            assert_eq!(told, whole, "{length}");
        }
    }

    #[test]
    fn lines_are_the_same_in_pieces() {
        in_pieces(b"{\"a\":1}\r\n\n  \n[]\nrest", 100);
        in_pieces(b"12345\n123456\n1\n\r\n1234567890", 5);
        in_pieces(b"", 5);
    }

    #[test]
    fn what_is_written_is_one_line() {
        let mut out = Vec::new();
        write(&mut out, "{\n \"a\":\r\n1}").unwrap();
        assert_eq!(out, b"{  \"a\":  1}\n");
    }
}
