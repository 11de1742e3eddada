use super::*;

const GRIP: &str = "9537C23216761A5C90E273B3C1D123CEC153F015";

fn grip() -> Keygrip {
    Keygrip::parse(GRIP).unwrap()
}

fn ask(line: &str) -> Asked {
    asked(line.as_bytes())
}

fn other(verb: &str) -> Asked {
    Asked::Other(verb.to_owned())
}

#[test]
fn what_gpg_says_to_sign_is_understood() {
    let hex = "e3e390802ea162629f492d5055bc4920d54303d79c4dedd3e64eaad765c9c686";
    let lines = [
        ("RESET", Asked::Reset),
        ("OPTION ttytype=xterm", Asked::Courtesy),
        ("GETINFO version", Asked::Version),
        (&format!("HAVEKEY {GRIP} {GRIP}"), Asked::Have(vec![grip(), grip()])),
        ("HAVEKEY --list=1000", Asked::List),
        (&format!("KEYINFO {GRIP}"), Asked::Info(grip())),
        (&format!("sigkey {}", GRIP.to_ascii_lowercase()), Asked::Key(grip())),
        ("SETKEYDESC Please+enter%0A", Asked::Courtesy),
        ("PKSIGN", Asked::Sign),
        ("PKSIGN -- 95AB01", Asked::Sign),
        ("BYE", Asked::Bye),
        ("", Asked::Nothing),
        ("# SIGKEY", Asked::Nothing),
    ];
    for (line, expected) in lines {
        assert_eq!(ask(line), expected, "{line}");
    }
    let Asked::Hash(digest) = ask(&format!("SETHASH 8 {}", hex.to_ascii_uppercase())) else {
        panic!("no digest");
    };
    assert_eq!(digest.name(), format!("sha256/{hex}"));
    assert_eq!(digest.command(), format!("SETHASH 8 {}", hex.to_ascii_uppercase()));
    assert_eq!(grip().bytes().len(), 20);
    assert_eq!(grip().bytes()[..2], [0x95, 0x37]);
}

#[test]
fn what_does_more_than_sign_a_digest_is_not() {
    for (line, verb) in [
        ("PKDECRYPT", "PKDECRYPT"),
        ("GENKEY", "GENKEY"),
        (&format!("EXPORT_KEY {GRIP}"), "EXPORT_KEY"),
        ("killagent", "KILLAGENT"),
        ("D data", "D"),
        ("END", "END"),
        ("PKSIGN --hash=md5", "PKSIGN"),
        ("SIGKEY", "SIGKEY"),
        (&format!("SIGKEY {GRIP} {GRIP}"), "SIGKEY"),
        (&format!("SIGKEY --another {GRIP}"), "SIGKEY"),
        ("KEYINFO --list", "KEYINFO"),
        ("HAVEKEY", "HAVEKEY"),
        ("SETHASH 8 00", "SETHASH"),
        (&format!("SETHASH 1 {}", "00".repeat(16)), "SETHASH"),
        (&format!("SETHASH 10 {}", "00".repeat(32)), "SETHASH"),
        (&format!("SETHASH --hash=sha1 {}", "00".repeat(20)), "SETHASH"),
        ("SETHASH --inquire", "SETHASH"),
        (&format!(" SIGKEY {GRIP}"), ""),
        (&format!("SIGKEY\t{GRIP}"), "SIGKEY"),
        (&format!("SIGKEY {GRIP}\rPKDECRYPT"), "SIGKEY"),
        (&format!("SIGKEY {GRIP}\0"), "SIGKEY"),
    ] {
        assert_eq!(ask(line), other(verb), "{line}");
    }
    assert_eq!(asked(b"SIGKEY \xff"), other("SIGKEY"));
    assert_eq!(asked(&[b'X'; 500]), other(&"X".repeat(VERB_BYTES_MAX)));
}

#[test]
fn whatever_is_about_a_smartcard_is_one_question() {
    for line in ["SCD SERIALNO", "SCD GETINFO card_list", "scd", "SCD PKSIGN x"] {
        assert_eq!(ask(line), Asked::Card, "{line}");
    }
}

#[test]
fn lines_end_and_none_is_longer_than_a_thousand_bytes() {
    let longest = "x".repeat(LINE_BYTES_MAX);
    let text = format!("one\ntwo\r\n\n{longest}\r\n{longest}\ncut");
    let mut from = text.as_bytes();
    let mut next = || next_line(&mut from).unwrap();
    assert_eq!(next(), Some(b"one".to_vec()));
    assert_eq!(next(), Some(b"two".to_vec()));
    assert_eq!(next(), Some(Vec::new()));
    assert_eq!(next(), Some(longest.clone().into_bytes()));
    assert_eq!(next(), Some(longest.clone().into_bytes()));
    // What has no end is nobody's word.
    assert_eq!(next(), None);
    for bad in [format!("{longest}x\n"), format!("{longest}{longest}")] {
        let error = next_line(&mut bad.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn any_bytes_come_out_as_they_went_in() {
    let bytes: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let lines = data(&bytes);
    let (mut from, mut all) = (lines.as_slice(), Vec::new());
    while let Some(line) = next_line(&mut from).unwrap() {
        assert!(line.len() <= LINE_BYTES_MAX);
        let Some(Answered::Data(bytes)) = answered(&line) else { panic!("{line:?}") };
        all.extend(bytes);
    }
    assert_eq!(all, bytes);
    assert_eq!(word("a b%\n+"), "a+b%25%0A%2B");
}

#[test]
fn an_agents_answer_is_one_of_five_or_none() {
    for (line, expected) in [
        ("OK Pleased to meet you", Answered::Done),
        ("OK", Answered::Done),
        ("ERR 67109115 Forbidden <GPG Agent>", Answered::Failed(67_109_115)),
        ("D a%0Ab%25", Answered::Data(b"a\nb%".to_vec())),
        ("S PROGRESS x", Answered::Status),
        ("# comment", Answered::Status),
        ("INQUIRE PINENTRY_LAUNCHED 1", Answered::Inquiry),
    ] {
        assert_eq!(answered(line.as_bytes()), Some(expected), "{line}");
    }
    for line in ["", "OKAY", "ERR", "ERR no", "ERR 99999999999", "D %", "D %0", "D %zz", "QUIT"] {
        assert_eq!(answered(line.as_bytes()), None, "{line}");
    }
}
