use std::io::Read as _;

use super::*;

const GRIP: &str = "9537C23216761A5C90E273B3C1D123CEC153F015";

/// What becomes of a signature where the person's agent says this; and what that was told.
fn sign(agent_says: &[u8]) -> (Result<Vec<u8>, String>, String) {
    let (ours, mut agents) = UnixStream::pair().unwrap();
    let says = agent_says.to_vec();
    let agent = std::thread::spawn(move || {
        // Whoever breaks off is not told the rest.
        let _ = agents.write_all(&says);
        agents.shutdown(std::net::Shutdown::Write).unwrap();
        let mut told = String::new();
        agents.read_to_string(&mut told).map(|_| told)
    });
    let Asked::Hash(digest) = assuan::asked(format!("SETHASH 8 {}", "5A".repeat(32)).as_bytes())
    else {
        panic!("no digest");
    };
    let grip = Keygrip::parse(GRIP).unwrap();
    let signed = Upstream::meet(ours).and_then(|mut it| it.sign(&grip, "who\nasks", &digest));
    // What is left unread when a connection is closed breaks the other side's reading.
    let told = agent.join().unwrap().unwrap_or_default();
    (signed.map_err(|failure| failure.to_string()), told)
}

#[test]
fn an_agent_is_told_four_things_and_its_signature_is_taken() {
    let (signed, told) = sign(b"OK hello\nOK\nOK\nOK\nS PROGRESS\nD (7:sig-val(%25\nD \0)\nOK\n");
    assert_eq!(signed.unwrap(), b"(7:sig-val(%\0)");
    let hash = "5A".repeat(32);
    let expected = format!("SIGKEY {GRIP}\nSETKEYDESC who%0Aasks\nSETHASH 8 {hash}\nPKSIGN\n");
    assert_eq!(told, expected);
}

#[test]
fn an_agent_that_asks_back_gets_nothing() {
    let (signed, told) = sign(b"OK\nOK\nOK\nOK\nINQUIRE PASSPHRASE\nERR 67109141 no\n");
    assert_eq!(signed.unwrap_err(), "the gpg agent refuses: error 277");
    assert!(told.ends_with("PKSIGN\nCAN\n"), "{told}");
}

#[test]
fn what_an_agent_says_is_bounded_and_has_to_be_a_signature() {
    let long = [b"D ".as_slice(), &[b'x'; 900], b"\n"].concat();
    let begun = b"OK\nOK\nOK\nOK\n";
    for (rest, why) in [
        (long.repeat(40), "its answer is too long"),
        (b"S x\n".repeat(1000), "its answer does not end"),
        (b"INQUIRE X\n".repeat(1000), "its answer does not end"),
        ([b"D ".as_slice(), &[b'x'; 1100], b"\n"].concat(), "a line is too long"),
        (b"D %zz\nOK\n".to_vec(), "its answer is not understood"),
        (b"HTTP/1.1 200\n".to_vec(), "its answer is not understood"),
        (b"D (7:enc-val(\nOK\n".to_vec(), "its answer is no signature"),
        (b"OK\n".to_vec(), "its answer is no signature"),
        (b"D (7:sig-val(\nOK".to_vec(), "unexpected end of file"),
        (Vec::new(), "unexpected end of file"),
    ] {
        let (signed, _) = sign(&[begun.as_slice(), &rest].concat());
        assert_eq!(signed.unwrap_err(), format!("the gpg agent cannot be asked: {why}"));
    }
    assert!(sign(b"").0.is_err());
}
