//! Bodies that are drawn at random, cut at random: what is certain survives in none of them, and what has nothing in it
//! stays byte for byte as it came. `RINGFENCE_TEST_LONG=1` draws as many as the long tests do.

use super::*;

/// How many bodies are drawn.
fn count() -> u64 {
    let long = std::env::var_os("RINGFENCE_TEST_LONG").is_some_and(|it| it == "1");
    if long { 1_000_000 } else { 3_000 }
}

/// Numbers that look random, the same each time (xorshift64*).
struct Draw(u64);

impl Draw {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % most
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// What bodies are made of.
const PIECES: [&str; 35] = [
    TOKEN,
    TOKEN,
    "ghp_",
    "g",
    "h",
    "p_0123456789012345678901234567890123ab",
    "0123456789012345678901234567890123ab",
    "\\u0067hp_",
    "%67hp%5f",
    "=67hp_",
    "=\r\n",
    "Z2hwXzAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjNhYg==",
    "Z2hwXzAxMjM0NTY3ODkwMTIz",
    "NDU2Nzg5MDEyMzQ1Njc4OTAxMjNhYg==",
    "data: ",
    "data: {\"text\":\"",
    "\"}\n\n",
    "\n\n",
    "\r\n",
    "\n",
    "{\"a\":\"",
    "\"",
    "\\",
    "\\\"",
    " ",
    "key swordfish",
    "4444 4444 4444 4444",
    "\r\n--b\r\n\r\n",
    "\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    "--b--",
    "Content-Transfer-Encoding: base64\r\n\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
    "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n",
    "\u{e9}\u{1f600}",
    "text",
];

/// What goes on of a body that comes in pieces, with pauses between them.
fn in_turns(passing: &mut Passing, sent: &[u8], draw: &mut Draw) -> Result<Vec<u8>, Blocked> {
    let (mut out, mut rest) = (Vec::new(), sent);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((draw.below(200) + 1).min(rest.len()));
        out.extend(passing.push(piece)?);
        if draw.below(8) == 0 {
            out.extend(passing.pause()?);
        }
        rest = behind;
    }
    out.extend(passing.finish()?);
    Ok(out)
}

#[test]
fn what_is_certain_survives_in_no_body_however_it_is_cut() {
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    let boundary = Form::Parts(Boundary::of("multipart/mixed; boundary=b").unwrap());
    for number in 0..count() {
        let form = [Form::Text, Form::Json, Form::Events, Form::Fields, boundary][draw.below(5)];
        // What is beside parts stops all of it.
        let mut sent = if form == boundary { b"--b\r\n\r\n".to_vec() } else { Vec::new() };
        for _ in 0..draw.below(24) {
            match draw.below(12) {
                0 => sent.push(u8::try_from(draw.below(256)).unwrap()),
                1 => sent.extend(std::iter::repeat_n(b'x', draw.below(9_000))),
                _ => sent.extend_from_slice(draw.one(&PIECES).as_bytes()),
            }
        }
        let mut passing = passing(form);
        let Ok(out) = in_turns(&mut passing, &sent, &mut draw) else {
            assert!(form == boundary, "{number}");
            continue;
        };
        assert!(!passing.holds(), "{number}");
        let case = || format!("{number} {form:?}: {:?}", String::from_utf8_lossy(&sent));
        if passing.tally().found().is_empty() {
            assert_eq!(out, sent, "{}", case());
        }
        // What was found in the body as it is written does not go on; what is part of something longer is none.
        let readable = |bytes: &[u8]| super::super::stream::readable(bytes).into_owned();
        let (text, clean) = (readable(&sent), readable(&out));
        let found = LOOKS.inspect(&text);
        let tokens = found.iter().filter(|it| it.rule == "token");
        let tokens: Vec<&str> = tokens.map(|it| text.get(it.at.clone()).unwrap()).collect();
        let had = !tokens.is_empty();
        for token in tokens {
            let times = |text: &str| text.matches(token).count();
            assert!(times(&clean) < times(&text), "{}\n{clean:?}", case());
        }
        // Nor does what may not pass go out in any of them.
        let mut blocks = Passing::new(rules("", "secrets", Way::Out), form);
        assert!(!had || blocks.whole(sent.clone()).is_err(), "{}", case());
    }
}
