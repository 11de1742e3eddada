//! A connection that may not be: the client is told in the words of what it speaks, at once.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::first::{Speaks, speaks};
use super::hello::HANDSHAKE;
use super::reply::Reply;
use super::rewind::Rewind;
use super::{HEAD_BYTES_MAX, HEADERS_MAX};

/// How long a client has to say what it speaks before its connection is reset, in milliseconds: who
/// waits for the server to speak first should not wait long for nothing.
const WORD_MS: u64 = 250;
/// How long a client may take to hear why, in seconds.
const HEARING_SECONDS: u64 = 5;
/// A fatal alert, `access_denied` (RFC 8446, section 6).
const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// Answers with `response` where the client speaks HTTP; ends the connection in any case.
pub(super) async fn refuse(mut client: TcpStream, response: Response<Reply>) {
    let mut sent = Vec::new();
    let mut buffer = vec![0; HEAD_BYTES_MAX];
    let word = async {
        while matches!(speaks(&sent), Speaks::More) {
            match client.read(&mut buffer).await {
                Ok(count) if count > 0 => sent.extend(buffer.iter().take(count)),
                Ok(_) | Err(_) => return,
            }
        }
    };
    // What a client has not begun to say by then, nobody waits for.
    let _ = timeout(Duration::from_millis(WORD_MS), word).await;
    if speaks(&sent) == Speaks::Http {
        answer(client, sent, response).await;
    } else {
        close(client, &sent).await;
    }
}

/// Ends a connection of which the client has `sent` this: with an alert in TLS, else with a reset.
pub(super) async fn close(mut client: TcpStream, sent: &[u8]) {
    if sent.first() == Some(&HANDSHAKE) {
        let told = async {
            client.write_all(&ACCESS_DENIED).await?;
            client.shutdown().await?;
            // Closing with unread bytes would take the alert back.
            let mut rest = vec![0; HEAD_BYTES_MAX];
            while client.read(&mut rest).await? > 0 {}
            Ok::<_, std::io::Error>(())
        };
        // A client that does not hang up is hung up on.
        let _ = timeout(Duration::from_secs(HEARING_SECONDS), told).await;
    }
    reset(&client);
}

/// Makes the coming close a reset.
pub(super) fn reset(client: &TcpStream) {
    // Best effort: without it the client sees an ordinary end.
    let _ = client.set_zero_linger();
}

/// Answers the client's first request, and no second one.
async fn answer(client: TcpStream, sent: Vec<u8>, response: Response<Reply>) {
    let response = Mutex::new(Some(response));
    let service = service_fn(|_: Request<Incoming>| {
        let response = response.lock().ok().and_then(|mut it| it.take());
        let response = response.unwrap_or_else(|| Response::new(Reply::empty()));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEARING_SECONDS))
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Rewind::new(client, Bytes::from(sent))), service);
    // A client that does not read its answer is hung up on.
    let _ = timeout(Duration::from_secs(HEARING_SECONDS), served).await;
}
