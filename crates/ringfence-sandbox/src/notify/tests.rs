//! What processes and the kernel send, taken apart: no bytes may confuse the parsers.

use proptest::prelude::*;
use ringfence_core::AbsolutePath;

use super::connect::{Address, decode, internet};
use super::inside::{BoundFile, Dump, collect};
use super::locate::lexical;
use super::script::{FirstLine, FirstLines, parse};

fn line(interpreter: &str, argument: Option<&str>) -> FirstLine {
    FirstLine {
        interpreter: interpreter.as_bytes().to_vec(),
        argument: argument.map(|text| text.as_bytes().to_vec()),
    }
}

#[test]
fn a_first_line_is_read_as_the_kernel_reads_it() {
    let long = |length: usize| format!("#!/{}", "x".repeat(length));
    for (text, expected) in [
        ("#!/bin/sh\n", Some(line("/bin/sh", None))),
        ("#!/bin/sh", Some(line("/bin/sh", None))),
        ("#! \t/bin/sh \t-e x \t\nrest", Some(line("/bin/sh", Some("-e x")))),
        ("#!/bin/sh\0-x y\n", Some(line("/bin/sh", None))),
        ("#!/bin/sh -x\0y\n", Some(line("/bin/sh", Some("-x")))),
        ("#!sh", Some(line("sh", None))),
        ("#!\n/bin/sh\n", None),
        ("#!   \t \n", None),
        ("#!", Some(line("", None))),
        ("# !/bin/sh\n", None),
        (" #!/bin/sh\n", None),
        ("\x7fELF", None),
        ("", None),
    ] {
        assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
    }
    // 256 bytes are looked at: a name that does not end within them may have been cut off.
    assert_eq!(parse(long(400).as_bytes()), None);
    let whole = parse(format!("{} -x", long(252)).as_bytes()).unwrap();
    assert_eq!(whole, line(&format!("/{}", "x".repeat(252)), None));
    let cut = parse(format!("{} {}", long(100), "y".repeat(400)).as_bytes()).unwrap();
    assert_eq!(cut.argument.unwrap().len(), 255 - 103 - 1);
}

#[test]
fn a_first_line_is_read_again_once_the_file_has_changed_or_is_too_young_to_tell() {
    let mut stat = rustix::fs::stat("/").unwrap();
    stat.st_ctime = 1_000_000_000;
    let (old, new) = (Some(line("/bin/old", None)), Some(line("/bin/new", None)));
    let known = FirstLines::default();
    assert_eq!(known.of(&stat, || old.clone()), old);
    assert_eq!(known.of(&stat, || panic!("it is known")), old);
    let before = stat;
    let changes: [fn(&mut rustix::fs::Stat); 5] = [
        |stat| stat.st_ctime_nsec ^= 1,
        |stat| stat.st_mtime -= 1,
        |stat| stat.st_size += 1,
        |stat| stat.st_ino += 1,
        |stat| stat.st_dev += 1,
    ];
    for change in changes {
        change(&mut stat);
        assert_eq!(known.of(&stat, || new.clone()), new);
        stat = before;
        known.of(&stat, || old.clone());
    }
    // Two changes within a tick of the clock bear the same time.
    stat.st_ctime = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    assert_eq!(known.of(&stat, || old.clone()), old);
    assert_eq!(known.of(&stat, || new.clone()), new);
}

#[test]
fn only_a_unix_socket_with_a_path_needs_a_decision() {
    let unix = |path: &[u8]| [&1_u16.to_ne_bytes(), path].concat();
    assert_eq!(decode(&unix(b"/run/x\0")), Ok(Address::Path(b"/run/x".to_vec())));
    assert_eq!(decode(&unix(b"/run/x")), Ok(Address::Path(b"/run/x".to_vec())));
    assert_eq!(decode(&unix(b"x\0/run/y")), Ok(Address::Path(b"x".to_vec())));
    assert_eq!(decode(&unix(&[b'p'; 108])), Ok(Address::Path(vec![b'p'; 108])));
    assert_eq!(decode(&unix(b"\0name")), Ok(Address::Bounded));
    for family in [libc::AF_UNSPEC, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK] {
        let family = u16::try_from(family).unwrap().to_ne_bytes();
        assert_eq!(decode(&family), Ok(Address::Bounded));
    }
    assert_eq!(decode(&unix(b"")), Err(libc::EINVAL));
    assert_eq!(decode(&unix(&[b'p'; 109])), Err(libc::EINVAL));
    assert_eq!(decode(b""), Err(libc::EINVAL));
    assert_eq!(decode(b"\x01"), Err(libc::EINVAL));
    for family in [libc::AF_VSOCK, libc::AF_PACKET, libc::AF_ALG, libc::AF_BLUETOOTH, 99] {
        let family = u16::try_from(family).unwrap().to_ne_bytes();
        assert_eq!(decode(&family), Err(libc::EAFNOSUPPORT));
    }
}

/// One message of a dump about a socket bound to a file.
fn message(sequence: u32, file: BoundFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&44_u32.to_ne_bytes());
    bytes.extend_from_slice(&[20, 0, 2, 0]);
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4 + 16]);
    bytes.extend_from_slice(&[12, 0, 1, 0]);
    bytes.extend_from_slice(&file.inode.to_ne_bytes());
    bytes.extend_from_slice(&file.device.to_ne_bytes());
    bytes
}

#[test]
fn sockets_are_taken_from_answers_to_the_question_only() {
    let file = BoundFile { inode: 7, device: 9 };
    let other = BoundFile { inode: 8, device: 9 };
    let text = [message(1, other), message(2, file)].concat();
    let mut found = Vec::new();
    assert_eq!(collect(&text, 2, &mut found).unwrap(), Dump::More);
    assert_eq!(found, [file]);
    let done = [20_u32.to_ne_bytes(), [3, 0, 2, 0], 2_u32.to_ne_bytes(), [0; 4], [0; 4]].concat();
    assert_eq!(collect(&done, 2, &mut found).unwrap(), Dump::Done);
    assert_eq!(collect(&done, 3, &mut found).unwrap(), Dump::More);
    let refused = [36_u32.to_ne_bytes(), [2, 0, 0, 0], 2_u32.to_ne_bytes()].concat();
    assert!(collect(&[refused, vec![0; 24]].concat(), 2, &mut found).is_err());
}

proptest! {
    #[test]
    fn no_first_line_confuses_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let script = [b"#!".as_slice(), &bytes].concat();
        prop_assert_eq!(parse(&bytes).is_some() && !bytes.starts_with(b"#!"), false);
        if let Some(found) = parse(&script) {
            prop_assert!(!found.interpreter.iter().any(|byte| b" \t\n\0".contains(byte)));
            let argument = found.argument.unwrap_or_default();
            prop_assert!(!argument.iter().any(|byte| b"\n\0".contains(byte)));
            prop_assert!(!argument.starts_with(b" ") && !argument.starts_with(b"\t"));
            // The kernel trims at the line's end; where a NUL ends the text, a blank stays.
            let line = script.iter().take(256).position(|byte| b"\n\0".contains(byte));
            if line.is_some_and(|end| script[end] == b'\n') {
                prop_assert!(!argument.ends_with(b" ") && !argument.ends_with(b"\t"));
            }
        }
    }

    #[test]
    fn no_address_confuses_the_parser(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let unix = [&1_u16.to_ne_bytes(), bytes.as_slice()].concat();
        match decode(&unix) {
            Ok(Address::Path(path)) => {
                prop_assert!(!path.is_empty() && !path.contains(&0) && bytes.starts_with(&path));
            }
            Ok(Address::Bounded) => prop_assert_eq!(bytes.first(), Some(&0)),
            Err(_) => prop_assert!(bytes.is_empty() || bytes.len() > 108),
        }
        let _ = decode(&bytes);
    }

    #[test]
    fn no_answer_confuses_the_parser(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        cut in 0_usize..200,
    ) {
        let _ = collect(&bytes, 1, &mut Vec::new());
        let good = message(1, BoundFile { inode: 1, device: 1 });
        let mut mixed = [good.as_slice(), &bytes].concat();
        mixed.truncate(cut);
        let _ = collect(&mixed, 1, &mut Vec::new());
    }

    #[test]
    fn a_plain_path_is_what_the_policy_would_read(text in "/[a-c./]{0,30}") {
        let plain = lexical(text.as_bytes());
        prop_assert_eq!(&lexical(&plain), &plain);
        let named = AbsolutePath::parse(&text).unwrap();
        prop_assert_eq!(plain, named.as_str().as_bytes());
    }
}

#[test]
fn an_address_of_the_internet_protocols_is_told_from_all_others() {
    let v4 = |port: u16, ip: [u8; 4]| {
        [&2_u16.to_ne_bytes()[..], &port.to_be_bytes(), &ip, &[0; 8]].concat()
    };
    let v6 = |port: u16, ip: [u8; 16]| {
        [&10_u16.to_ne_bytes()[..], &port.to_be_bytes(), &[0; 4], &ip, &[0; 4]].concat()
    };
    let mapped = |ip: &str| v6(22, ip.parse::<std::net::Ipv6Addr>().unwrap().octets());
    let text = |address: Vec<u8>| internet(&address).map(|it| it.to_string());
    assert_eq!(text(v4(22, [198, 18, 0, 2])), Some("198.18.0.2:22".to_owned()));
    assert_eq!(text(mapped("::ffff:198.18.0.2")), Some("198.18.0.2:22".to_owned()));
    assert_eq!(text(mapped("fd00::2")), Some("[fd00::2]:22".to_owned()));
    for local in [v4(22, [127, 0, 0, 1]), mapped("::1"), mapped("::ffff:127.1.2.3"), mapped("::")] {
        assert_eq!(text(local), None);
    }
    for length in 0..8 {
        assert_eq!(text(v4(22, [198, 18, 0, 2])[..length].to_vec()), None, "{length}");
    }
    assert_eq!(text([&1_u16.to_ne_bytes()[..], b"/run/x"].concat()), None);
}
