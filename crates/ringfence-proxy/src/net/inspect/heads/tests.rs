//! Servers of HTTP/2 that say much before they answer.

use hyper::client::conn::http2;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

/// A head with this status, as a literal (RFC 7541, section 6.2.2).
fn head(status: &str, flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, 1, &[b"\x08\x03", status.as_bytes()].concat())
}

/// Answers the first request, `early` heads before its own; how many of them were taken.
async fn serve(mut stream: DuplexStream, early: usize) -> usize {
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let mut heard = Vec::new();
    while !heard.windows(5).any(|it| it == [HEADERS, END_HEADERS | END_STREAM, 0, 0, 0]) {
        stream.read_buf(&mut heard).await.unwrap();
    }
    let (mut from, mut to) = tokio::io::split(stream);
    // The client acknowledges; that is not read by anybody else.
    let reads = tokio::spawn(async move { while from.read_u8().await.is_ok() {} });
    let mut taken = 0;
    for _ in 0..early {
        if to.write_all(&head("103", 0)).await.is_err() {
            return taken;
        }
        taken += 1;
    }
    let _ = to.write_all(&head("200", END_STREAM)).await;
    let _ = reads.await;
    taken
}

async fn ask<S>(stream: S) -> Result<Response<Incoming>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(Request::get("https://a.example/").body(String::new()).unwrap()).await
}

/// What comes of one request to a server that says so much before it answers.
fn asked(early: usize, counted: bool) -> (Result<u16, String>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (ours, theirs) = duplex(16 * 1024);
        let serving = tokio::spawn(serve(theirs, early));
        let asked = if counted { ask(Heads::new(ours)).await } else { ask(ours).await };
        let asked = asked.map(|it| it.status().as_u16());
        let told = asked.map_err(|it| {
            super::super::super::broken::ended(super::super::super::broken::Side::Server, &it)
        });
        (told, serving.await.unwrap())
    })
}

#[test]
fn a_server_that_says_things_before_its_answer_without_end_is_ended() {
    let many = 20_000;
    // Nobody else would stop it.
    assert_eq!(asked(many, false), (Ok(200), many));
    let (answer, taken) = asked(many, true);
    let said = answer.unwrap_err();
    assert!(said.contains("more than 64 things before its answer"), "{said}");
    assert!(taken < many / 4, "{taken}");
    assert_eq!(asked(EARLY_MAX, true), (Ok(200), EARLY_MAX));
    assert_eq!(asked(0, true), (Ok(200), 0));
}

#[test]
fn heads_are_counted_of_each_answer_by_itself_however_they_come() {
    let of = |stream: u32, kind, flags| frame(kind, flags, stream, b"12345");
    let begun = |frames: &[Vec<u8>], size: usize| {
        let mut counted = Frames::default();
        let passed = frames.concat().chunks(size).try_for_each(|it| counted.pass(it));
        (passed, counted.heads.len())
    };
    for size in [1, 3, 9, 14, 10_000] {
        // A head, a body and trailers, over and over, on streams that end.
        let answers: Vec<Vec<u8>> = (0..2_000)
            .flat_map(|it| {
                let stream = it * 2 + 1;
                [of(stream, HEADERS, 4), of(stream, DATA, 0), of(stream, HEADERS, 5)]
            })
            .collect();
        assert_eq!(begun(&answers, size), (Ok(()), 0));
        let early = vec![of(7, HEADERS, 4); EARLY_MAX + 1];
        assert_eq!(begun(&early, size), (Ok(()), 1));
        let other = [early.clone(), vec![of(9, HEADERS, 4)], early.clone()].concat();
        assert_eq!(begun(&other, size).0, Err(Endless::Many));
        let ended = [early.clone(), vec![of(7, RST_STREAM, 0)], early].concat();
        assert_eq!(begun(&ended, size), (Ok(()), 1));
        // What is kept of many that never end.
        let many: Vec<Vec<u8>> = (0..5_000).map(|it| of(it * 2 + 1, HEADERS, 4)).collect();
        assert_eq!(begun(&many, size), (Ok(()), COUNTED_MAX));
    }
}
