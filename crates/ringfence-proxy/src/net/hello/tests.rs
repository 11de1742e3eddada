use proptest::prelude::*;

use super::*;

/// A first message of TLS 1.3's shape with these extensions, without record header.
fn message(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 2, 0x13, 0x01]);
    body.extend([1, 0]);
    let mut list = Vec::new();
    for (kind, value) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        list.extend(value);
    }
    body.extend(u16::try_from(list.len()).unwrap().to_be_bytes());
    body.extend(list);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[CLIENT_HELLO, length[1], length[2], length[3]], body.as_slice()].concat()
}

fn name(host: &str) -> Vec<u8> {
    let length = u16::try_from(host.len()).unwrap();
    let mut value = (length + 3).to_be_bytes().to_vec();
    value.push(HOST_NAME);
    value.extend(length.to_be_bytes());
    value.extend(host.as_bytes());
    value
}

/// Cut into records of at most so many bytes.
fn records(message: &[u8], most: usize) -> Vec<u8> {
    let record = |part: &[u8]| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[HANDSHAKE, 3, 1, length[0], length[1]], part].concat()
    };
    message.chunks(most).flat_map(record).collect()
}

fn sent(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    records(&message(extensions), RECORD_BYTES_MAX)
}

#[test]
fn the_name_is_read_whatever_stands_around_it() {
    let hello = sent(&[(10, vec![0; 4]), (SERVER_NAME, name("a.example")), (43, vec![2, 3, 4])]);
    assert_eq!(read(&hello), Seen::Named("a.example".to_owned()));
    assert_eq!(read(&sent(&[(43, vec![2, 3, 4])])), Seen::Unnamed);
}

#[test]
fn a_message_cut_into_many_records_is_put_together() {
    let whole = message(&[(SERVER_NAME, name("a.example"))]);
    for most in [1, 2, 3, 5, 50] {
        let hello = records(&whole, most);
        assert_eq!(read(&hello), Seen::Named("a.example".to_owned()), "{most}");
        for end in 0..hello.len() {
            assert_eq!(read(&hello[..end]), Seen::More, "{most} {end}");
        }
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let twice = sent(&[(SERVER_NAME, name("a.example")), (SERVER_NAME, name("b.example"))]);
    let mut two_names = name("a.example");
    let second = name("b.example").split_off(2);
    two_names.extend(second);
    let length = u16::try_from(two_names.len() - 2).unwrap().to_be_bytes();
    two_names[..2].copy_from_slice(&length);
    let mut trailing = message(&[(SERVER_NAME, name("a.example"))]);
    trailing.extend([0; 3]);
    trailing[3] += 3;
    let two = [message(&[]), message(&[(SERVER_NAME, name("b.example"))])].concat();
    for bad in [
        records(&two, RECORD_BYTES_MAX),
        twice,
        sent(&[(SERVER_NAME, two_names)]),
        records(&trailing, RECORD_BYTES_MAX),
        sent(&[(SERVER_NAME, [name("a.example"), vec![0]].concat())]),
        sent(&[(SERVER_NAME, Vec::new())]),
    ] {
        assert!(matches!(read(&bad), Seen::Malformed(_)), "{bad:?}");
    }
}

#[test]
fn what_follows_the_message_is_not_of_it() {
    let hello = sent(&[(SERVER_NAME, name("a.example"))]);
    assert_eq!(length(&[hello.as_slice(), &hello].concat()), Some(hello.len()));
    assert_eq!(length(&hello[..hello.len() - 1]), None);
}

#[test]
fn another_record_or_message_is_not_waited_through() {
    let hello = sent(&[(SERVER_NAME, name("a.example"))]);
    let (front, back) = hello.split_at(20);
    let mut front = front.to_vec();
    front[3..5].copy_from_slice(&15_u16.to_be_bytes());
    let alert = [&front, &[21_u8, 3, 3, 0, 2, 1, 0][..], back].concat();
    let server_hello = [22, 3, 3, 0, 4, 2, 0, 0, 0];
    let empty = [22, 3, 3, 0, 0];
    let too_long = [22, 3, 3, 0xff, 0xff];
    let huge = [22, 3, 3, 0, 4, 1, 0xff, 0xff, 0xff];
    for bad in [&alert[..], &server_hello, &empty, &too_long, &huge] {
        assert!(matches!(read(bad), Seen::Malformed(_)), "{bad:?}");
    }
}

fn server_hello(random: [u8; 32]) -> Vec<u8> {
    let body = [&[3, 3], &random[..], &[0, 0x13, 1, 0]].concat();
    let length = u8::try_from(body.len()).unwrap();
    [&[SERVER_HELLO, 0, 0, length], body.as_slice()].concat()
}

#[test]
fn a_server_that_asks_for_another_hello_is_known_however_it_cuts_its_records() {
    let retry = server_hello(RETRY);
    for most in [1, 3, 20, 100] {
        assert_eq!(answer(&records(&retry, most)), Answer::Retry, "{most}");
        assert_eq!(answer(&records(&server_hello([9; 32]), most)), Answer::Final, "{most}");
        assert_eq!(answer(&records(&retry[..20], most)), Answer::More, "{most}");
    }
    assert_eq!(answer(&[21, 3, 3, 0, 2, 2, 40]), Answer::Final);
    assert_eq!(answer(b"HTTP/1.1 400 Bad Request\r\n"), Answer::More);
    assert_eq!(answer(&vec![b'H'; 40_000]), Answer::Final);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
        let _ = read(&[&[22, 3, 1, 1, 0, 1, 0, 0, 0xfc], bytes.as_slice()].concat());
    }
}
