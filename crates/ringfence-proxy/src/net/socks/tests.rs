use proptest::prelude::*;

use super::*;

fn wanted(kind: u8, address: &[u8], port: u16) -> Vec<u8> {
    [&[VERSION, CONNECT, 0, kind], address, &port.to_be_bytes()].concat()
}

fn named(name: &[u8], port: u16) -> Vec<u8> {
    wanted(NAME, &[&[u8::try_from(name.len()).unwrap()], name].concat(), port)
}

fn goes_to(said: &[u8], expected: &str) {
    assert_eq!(request(said), Said::Whole(expected.parse().unwrap(), said.len()));
    for end in 0..said.len() {
        assert_eq!(request(&said[..end]), Said::More, "{end}");
    }
}

#[test]
fn a_request_goes_to_a_name_or_an_address() {
    goes_to(&named(b"A.Example.", 443), "a.example:443");
    goes_to(&wanted(IPV4, &[10, 0, 0, 1], 80), "10.0.0.1:80");
    goes_to(&wanted(IPV6, &[0; 16], 80), "[::]:80");
    let mapped = std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().octets();
    goes_to(&wanted(IPV6, &mapped, 80), "10.0.0.1:80");
}

#[test]
fn a_name_that_can_be_read_in_two_ways_is_refused() {
    for name in [
        &b"a.example\0.b.example"[..],
        b"a.example\r\nx",
        b"user@a.example",
        b"127.1",
        b"0x7f.0.0.1",
        b"2130706433",
        b"",
        b"a..example",
        b"a.example:80",
        b"\xff\xfe",
    ] {
        let answer = request(&named(name, 80));
        assert_eq!(answer, Said::Wrong(Reply::UnknownAddress), "{name:?}");
    }
    assert_eq!(request(&named(b"a.example", 0)), Said::Wrong(Reply::UnknownAddress));
    assert_eq!(request(&wanted(9, &[0; 4], 80)), Said::Wrong(Reply::UnknownAddress));
}

#[test]
fn only_connections_are_made() {
    for command in [2, 3, 0xf0] {
        let mut said = named(b"a.example", 80);
        said[1] = command;
        assert_eq!(request(&said), Said::Wrong(Reply::UnknownCommand));
    }
}

#[test]
fn a_client_that_insists_on_a_password_gets_none() {
    assert_eq!(greeting(&[VERSION, 2, 2, 0]), Said::Whole(true, 4));
    assert_eq!(greeting(&[VERSION, 1, 2]), Said::Whole(false, 3));
    assert_eq!(greeting(&[VERSION, 2, 2]), Said::More);
    assert_eq!(greeting(&[4, 1, 0]), Said::Wrong(Reply::UnknownCommand));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = greeting(&bytes);
        let _ = request(&bytes);
        let _ = request(&[&[VERSION, CONNECT, 0, NAME], bytes.as_slice()].concat());
    }
}
