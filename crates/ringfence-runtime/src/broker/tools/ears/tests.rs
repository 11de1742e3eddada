use std::io::Write as _;
use std::os::unix::net::UnixStream;

use super::*;

fn line(text: &str) -> lines::Read {
    lines::Read::Line(text.as_bytes().to_vec())
}

/// What is heard, as far as these tests look at it.
fn heard(ears: &mut Ears) -> Result<(Option<usize>, lines::Read), &'static str> {
    match ears.next(Some(Instant::now() + Duration::from_secs(5))) {
        Ok(Heard::Client(read)) => Ok((None, read)),
        Ok(Heard::Server(number, read)) => Ok((Some(number), read)),
        Ok(Heard::Stop) => Err("stop"),
        Ok(
            Heard::Request(..)
            | Heard::Answer(..)
            | Heard::Forgot(..)
            | Heard::Closed(_)
            | Heard::Reloaded
            | Heard::Tell(_)
            | Heard::Decided(..),
        ) => Err("other"),
        Err(_) => Err("nothing"),
    }
}

#[test]
fn streams_and_threads_are_heard_by_one_who_sleeps() {
    let mut ears = Ears::new().unwrap();
    let (mut client, from) = UnixStream::pair().unwrap();
    let (mut server, of_server) = UnixStream::pair().unwrap();
    let (ends, ended) = sync_channel::<()>(0);
    ears.listen_to_client(from.into(), b"first\nsec");
    ears.listen_to_server(3, of_server.into(), ended);
    let mouth = ears.mouth();
    let speaks = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        client.write_all(b"ond\n").unwrap();
        std::thread::sleep(Duration::from_millis(30));
        server.write_all(b"a\nb\nhalf").unwrap();
        std::thread::sleep(Duration::from_millis(30));
        mouth.say(Heard::Reloaded).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        drop((server, ends));
        client
    });
    assert_eq!(heard(&mut ears), Ok((None, line("first"))));
    assert_eq!(heard(&mut ears), Ok((None, line("second"))));
    assert_eq!(heard(&mut ears), Ok((Some(3), line("a"))));
    assert_eq!(heard(&mut ears), Ok((Some(3), line("b"))));
    assert_eq!(heard(&mut ears), Err("other"));
    assert_eq!(heard(&mut ears), Ok((Some(3), lines::Read::End)), "what has no end is no message");
    drop(speaks.join().unwrap());
    assert_eq!(heard(&mut ears), Ok((None, lines::Read::End)));
    let soon = Instant::now() + Duration::from_millis(20);
    assert!(matches!(ears.next(Some(soon)), Err(RecvTimeoutError::Timeout)));
}

#[test]
fn that_a_talk_is_over_is_heard_before_all_that_others_have_said() {
    let mut ears = Ears::new().unwrap();
    let (_client, from) = UnixStream::pair().unwrap();
    ears.listen_to_client(from.into(), &b"more\n".repeat(1000));
    ears.mouth().try_say(Heard::Stop).unwrap();
    assert_eq!(heard(&mut ears), Err("stop"));
}

#[test]
fn no_message_is_slept_through() {
    const MESSAGES: usize = 20_000;
    let mut ears = Ears::new().unwrap();
    let mouth = ears.mouth();
    let speaks = std::thread::spawn(move || {
        for number in 0..MESSAGES {
            mouth.say(Heard::Server(number, lines::Read::TooLong(Vec::new()))).unwrap();
        }
    });
    for number in 0..MESSAGES {
        assert_eq!(heard(&mut ears), Ok((Some(number), lines::Read::TooLong(Vec::new()))));
    }
    speaks.join().unwrap();
}
