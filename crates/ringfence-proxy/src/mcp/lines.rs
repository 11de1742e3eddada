//! Messages over standard input and output: one a line, MCP "stdio transport".

use std::io::{self, BufRead, Write};

/// Longest message that is read unless the settings say otherwise, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// A line, without its end.
    Line(Vec<u8>),
    /// One that is too long; nothing of it is kept, and the next line comes next.
    TooLong,
    /// There is nothing more. What came before without an end of line is no message.
    End,
}

/// Reads a line of at most `bytes_max` bytes; empty ones are passed over.
pub fn read(from: &mut impl BufRead, bytes_max: usize) -> io::Result<Read> {
    let (mut line, mut too_long) = (Vec::new(), false);
    loop {
        let there = from.fill_buf()?;
        if there.is_empty() {
            return Ok(Read::End);
        }
        let end = memchr::memchr(b'\n', there);
        let part = there.get(..end.unwrap_or(there.len())).unwrap_or_default();
        too_long = too_long || line.len().saturating_add(part.len()) > bytes_max;
        if too_long {
            line = Vec::new();
        } else {
            line.extend_from_slice(part);
        }
        let taken = part.len().saturating_add(usize::from(end.is_some()));
        from.consume(taken);
        if end.is_none() {
            continue;
        }
        if too_long {
            return Ok(Read::TooLong);
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            return Ok(Read::Line(line));
        }
        line.clear();
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
            let mut line = std::mem::take(&mut self.line);
            if std::mem::take(&mut self.too_long) {
                told(Read::TooLong);
                continue;
            }
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                told(Read::Line(line));
            }
        }
        self.keep(rest, bytes_max);
    }

    fn keep(&mut self, part: &[u8], bytes_max: usize) {
        self.too_long = self.too_long || self.line.len().saturating_add(part.len()) > bytes_max;
        if self.too_long {
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
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
                other @ (Read::Line(_) | Read::TooLong) => all.push(other),
            }
        }
    }

    #[test]
    fn a_line_is_a_message_however_it_arrives() {
        let line = |text: &str| Read::Line(text.as_bytes().to_vec());
        assert_eq!(all(b"{\"a\":1}\r\n\n  \n[]\nrest", 100), [line("{\"a\":1}"), line("[]")]);
        assert_eq!(all(b"12345\n123456\n1\n", 5), [line("12345"), Read::TooLong, line("1")]);
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
