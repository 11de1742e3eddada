//! Lets through what draws on a terminal and drops what makes a terminal answer.
//!
//! A terminal that is asked for its cursor, its colours or its title types the answer as if the
//! user had: `printf '\e[6n'` from an agent is a keystroke on the host. Only sequences known to be
//! mute pass; everything else is dropped whole. Sources: xterm `ctlseqs`, ECMA-48, kitty and
//! iTerm2 protocol pages, CVE-2003-0063, CVE-2008-2383, CVE-2019-9535, CVE-2022-45063.

/// Longest sequence that is let through, in bytes; a longer one (an image, say) is dropped.
const SEQUENCE_BYTES_MAX: usize = 8 * 1024;

const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ESC: u8 = 0x1b;
/// Asks for the answerback message.
const ENQ: u8 = 0x05;

/// Control sequences that only draw or set: prefix, intermediates, final bytes.
///
/// Left out: c (attributes), i (printing), n (status), t (window), x (parameters), `$p`, `*y`, `$w`
/// and everything unknown. Key encodings (`>u` and the like) change how keys are spelt and are set
/// by full-screen programs.
const MUTE_CSI: &[(u8, &[u8], &[u8])] = &[
    (0, b"", b"@ABCDEFGHIJKLMPSTUVWXYZ^`abdefghjklmqrsu"),
    (0, b" ", b"q@A"),
    (0, b"!", b"p"),
    (0, b"\"", b"q"),
    (0, b"#", b"pq{}"),
    (0, b"$", b"rtvxz{"),
    (0, b"'", b"}~"),
    (0, b"*", b"x"),
    (b'?', b"", b"hlsrJK"),
    (b'>', b"", b"mu"),
    (b'<', b"", b"u"),
    (b'=', b"", b"u"),
];

/// Where the parser stands; a sequence is held back in [`Filter::held`] until it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    /// Inside a UTF-8 character, with so many bytes to come.
    Utf8(u8),
    /// After `ESC`.
    Escape,
    /// After `ESC [`.
    Csi,
    /// After `ESC ]`.
    Osc,
    /// After `ESC ]` ... `ESC`.
    OscEscape,
    /// In a string of a kind that never passes (DCS, SOS, PM, APC).
    Swallow,
    /// In such a string, after `ESC`.
    SwallowEscape,
}

/// A filter for one direction of one terminal; keeps its place between reads.
#[derive(Debug)]
pub struct Filter {
    state: State,
    held: Vec<u8>,
    /// The held sequence has become too long and will be dropped at its end.
    overlong: bool,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter { state: State::Ground, held: Vec::new(), overlong: false }
    }
}

impl Filter {
    /// Appends what may pass of `input` to `output`, always whole sequences.
    pub fn pass(&mut self, input: &[u8], output: &mut Vec<u8>) {
        for &byte in input {
            self.step(byte, output);
        }
    }

    fn step(&mut self, byte: u8, output: &mut Vec<u8>) {
        match self.state {
            State::Ground => self.ground(byte, output),
            State::Utf8(left) => self.utf8(byte, left, output),
            State::Escape => self.escape(byte, output),
            State::Csi => self.csi(byte, output),
            State::Osc => self.osc(byte, output),
            State::OscEscape if byte == b'\\' => {
                self.hold(byte);
                self.end_osc(output);
            }
            State::SwallowEscape if byte == b'\\' => self.drop_held(),
            // An ESC that does not begin ST ends the string and begins another sequence.
            State::OscEscape | State::SwallowEscape => {
                self.begin(ESC, State::Escape);
                self.escape(byte, output);
            }
            State::Swallow => match byte {
                ESC => self.state = State::SwallowEscape,
                CAN | SUB => self.drop_held(),
                _ => {}
            },
        }
    }

    fn ground(&mut self, byte: u8, output: &mut Vec<u8>) {
        match byte {
            ESC => self.begin(byte, State::Escape),
            // A lone byte of the C1 range is a control to 8-bit terminals, and stray otherwise.
            ENQ | 0x80..=0xc1 | 0xf5..=0xff => {}
            0xc2..=0xdf => self.begin(byte, State::Utf8(1)),
            0xe0..=0xef => self.begin(byte, State::Utf8(2)),
            0xf0..=0xf4 => self.begin(byte, State::Utf8(3)),
            _ => output.push(byte),
        }
    }

    fn utf8(&mut self, byte: u8, left: u8, output: &mut Vec<u8>) {
        if !(0x80..=0xbf).contains(&byte) {
            self.drop_held();
            return self.ground(byte, output);
        }
        self.hold(byte);
        if matches!(self.held.as_slice(), [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]) {
            // Longer than need be: some terminals read a control character in it.
            self.drop_held();
        } else if left > 1 {
            self.state = State::Utf8(left - 1);
        } else if matches!(self.held.as_slice(), [0xc2, 0x80..=0x9f]) {
            // U+0080 to U+009F: xterm reads U+009B as CSI in UTF-8 mode too.
            self.drop_held();
        } else {
            self.release(output);
        }
    }

    fn escape(&mut self, byte: u8, output: &mut Vec<u8>) {
        match byte {
            ESC => self.begin(byte, State::Escape),
            b'[' if self.held.len() == 1 => self.enter(byte, State::Csi),
            b']' if self.held.len() == 1 => self.enter(byte, State::Osc),
            b'P' | b'X' | b'^' | b'_' if self.held.len() == 1 => self.enter(byte, State::Swallow),
            0x20..=0x2f => self.hold(byte),
            0x30..=0x7e => {
                self.hold(byte);
                if mute_escape(self.held.get(1..).unwrap_or_default()) {
                    self.release(output);
                } else {
                    self.drop_held();
                }
            }
            CAN | SUB | 0x7f..=0xff => self.drop_held(),
            0x00..=0x1f => inner_control(byte, output),
        }
    }

    fn csi(&mut self, byte: u8, output: &mut Vec<u8>) {
        match byte {
            ESC => self.begin(byte, State::Escape),
            0x20..=0x3f => self.hold(byte),
            0x40..=0x7e => {
                self.hold(byte);
                if !self.overlong && mute_csi(self.held.get(2..).unwrap_or_default()) {
                    self.release(output);
                } else {
                    self.drop_held();
                }
            }
            CAN | SUB | 0x7f..=0xff => self.drop_held(),
            0x00..=0x1f => inner_control(byte, output),
        }
    }

    fn osc(&mut self, byte: u8, output: &mut Vec<u8>) {
        match byte {
            BEL => {
                self.hold(byte);
                self.end_osc(output);
            }
            ESC => {
                self.hold(byte);
                self.state = State::OscEscape;
            }
            CAN | SUB => self.drop_held(),
            _ => self.hold(byte),
        }
    }

    fn end_osc(&mut self, output: &mut Vec<u8>) {
        let body = self.held.get(2..).unwrap_or_default();
        let text = body.strip_suffix(&[BEL]).or_else(|| body.strip_suffix(&[ESC, b'\\']));
        if !self.overlong && text.is_some_and(mute_osc) {
            self.release(output);
        } else {
            self.drop_held();
        }
    }

    fn begin(&mut self, byte: u8, state: State) {
        self.drop_held();
        self.enter(byte, state);
    }

    fn enter(&mut self, byte: u8, state: State) {
        self.hold(byte);
        self.state = state;
    }

    fn hold(&mut self, byte: u8) {
        if self.held.len() < SEQUENCE_BYTES_MAX {
            self.held.push(byte);
        } else {
            self.overlong = true;
        }
    }

    fn release(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(&self.held);
        self.drop_held();
    }

    fn drop_held(&mut self) {
        self.held.clear();
        self.overlong = false;
        self.state = State::Ground;
    }
}

/// A control character inside a sequence is carried out at once by terminals.
fn inner_control(byte: u8, output: &mut Vec<u8>) {
    if byte != ENQ {
        output.push(byte);
    }
}

/// What follows `ESC`, when it neither answers nor changes how answers are spelt.
///
/// Left out: `ESC Z` (identify), `ESC SP F/G` (7- or 8-bit answers), `ESC % @` (leaves UTF-8, after
/// which the second byte of a letter may be CSI), a string's end without its beginning, everything
/// unknown.
fn mute_escape(body: &[u8]) -> bool {
    let charset = |byte: &u8| (b'('..=b'/').contains(byte) && *byte != b',';
    match body {
        [single] => b"78=>69DEHMNOclmno|}~".contains(single),
        [b'#', b'3'..=b'8'] | [b'%', b'G'] => true,
        [kind, _] | [kind, b'"' | b'%' | b'&', _] => charset(kind),
        _ => false,
    }
}

/// What follows `ESC [`: an optional prefix, parameters, intermediates and the final byte.
fn mute_csi(body: &[u8]) -> bool {
    let Some((&last, rest)) = body.split_last() else { return false };
    let (prefix, rest) = match rest.split_first() {
        Some((&prefix @ b'<'..=b'?', tail)) => (prefix, tail),
        _ => (0, rest),
    };
    let split = rest.iter().position(|byte| (0x20..=0x2f).contains(byte)).unwrap_or(rest.len());
    let (parameters, intermediates) = rest.split_at(split);
    let mute = MUTE_CSI.iter().any(|(with, between, finals)| {
        *with == prefix && *between == intermediates && finals.contains(&last)
    });
    match (prefix, last) {
        // Titles pushed and popped; all other window operations answer, move or resize.
        (0, b't') if intermediates.is_empty() => {
            matches!(first_parameter(parameters), Some(22 | 23))
        }
        (b'?', b'h' | b'l' | b's' | b'r') => mute && !names_reporting_mode(parameters),
        _ => mute,
    }
}

fn first_parameter(parameters: &[u8]) -> Option<u16> {
    let first = parameters.split(|byte| *byte == b';').next()?;
    std::str::from_utf8(first).ok()?.parse().ok()
}

/// Modes that make a terminal report at once: in-band size (2048), colour scheme (2031).
fn names_reporting_mode(parameters: &[u8]) -> bool {
    parameters.split(|byte| *byte == b';').any(|mode| {
        let digits = mode.iter().skip_while(|byte| **byte == b'0').copied().collect::<Vec<u8>>();
        digits == b"2048" || digits == b"2031" || !mode.iter().all(u8::is_ascii_digit)
    })
}

/// What stands between `ESC ]` and its terminator.
///
/// Left out: 52 (clipboard: what the agent puts there is pasted elsewhere), 1337 (files,
/// variables), 3, 50, 99, 5522 and everything unknown; and any colour that is asked for.
fn mute_osc(text: &[u8]) -> bool {
    let (number, rest) = match text.iter().position(|byte| *byte == b';') {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at..).unwrap_or_default()),
        None => (text, &[][..]),
    };
    let number: Option<u16> = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
    if rest.iter().any(|byte| *byte < 0x20) {
        return false;
    }
    match number {
        Some(0..=2 | 7 | 8 | 9 | 133 | 633 | 777) => true,
        Some(4 | 5 | 10..=19 | 22 | 104 | 105 | 110..=119) => !rest.contains(&b'?'),
        _ => false,
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
