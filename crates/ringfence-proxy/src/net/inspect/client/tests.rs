use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::{Body as _, Bytes, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{sleep, timeout};

use super::super::super::reply::Reply;
use super::{REST_AFTER_MS, UnderWay, Unread, serve};

/// A client whose requests are answered by their paths.
struct Served {
    client: DuplexStream,
    /// How often its connection was begun to be served.
    begun: Arc<AtomicUsize>,
    paths: Arc<Mutex<Vec<String>>>,
}

/// What becomes of a body.
#[derive(Clone, Copy)]
enum Bodies {
    Read,
    LeftUnread,
    /// Somebody still waits for them when the answer has been given.
    Held,
}

fn served(bodies: Bodies) -> Served {
    let (client, server) = duplex(64);
    let (begun, paths) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let told = Served { client, begun: Arc::clone(&begun), paths: Arc::clone(&paths) };
    tokio::spawn(async move {
        let mut builder = Builder::new();
        builder.half_close(true).timer(TokioTimer::new());
        let service = |under_way: &Arc<UnderWay>| {
            begun.fetch_add(1, Ordering::SeqCst);
            let (under_way, paths) = (Arc::clone(under_way), Arc::clone(&paths));
            service_fn(move |mut request: Request<Incoming>| {
                under_way.begin(&mut request);
                let path = request.uri().path().to_owned();
                paths.lock().unwrap().push(path.clone());
                let under_way = Arc::clone(&under_way);
                async move {
                    match bodies {
                        Bodies::Read => read(request).await,
                        Bodies::LeftUnread => {}
                        Bodies::Held => {
                            tokio::spawn(async move {
                                let _held = request;
                                std::future::pending::<()>().await;
                            });
                        }
                    }
                    if path == "/slow" {
                        sleep(Duration::from_millis(3 * REST_AFTER_MS)).await;
                    }
                    let reply = Reply::Text(Some(Bytes::from(path)));
                    Ok::<_, Infallible>(under_way.answer(Response::new(reply)))
                }
            })
        };
        serve(server, (&builder, Duration::from_secs(5)), service).await
    });
    told
}

async fn read(mut request: Request<Incoming>) {
    let unread = request.extensions_mut().remove::<Unread>();
    let mut body = request.into_body();
    while let Some(frame) =
        std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
    {
        frame.unwrap();
    }
    if let Some(unread) = unread {
        unread.read();
    }
}

impl Served {
    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits for an answer that ends like this.
    async fn hear(&mut self, end: &str) {
        let mut said = Vec::new();
        while !said.ends_with(end.as_bytes()) {
            let byte = timeout(Duration::from_secs(10), self.client.read_u8()).await;
            let byte = byte.ok().and_then(Result::ok);
            said.push(byte.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&said))));
        }
    }

    async fn pause(&self) {
        sleep(Duration::from_millis(3 * REST_AFTER_MS)).await;
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_connection_rests_between_requests_and_goes_on() {
    let mut served = served(Bodies::Read);
    for number in 1..4 {
        served.send(&format!("GET /no{number} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        served.hear(&format!("/no{number}")).await;
        // Soon after, over the same.
        served.send(&format!("GET /again{number} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        served.hear(&format!("/again{number}")).await;
        served.pause().await;
        assert_eq!(served.begun(), number);
    }
    // A body that was read to its end, with a length and in chunks.
    served.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
    served.hear("/a").await;
    served.pause().await;
    let chunked =
        "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    served.send(chunked).await;
    served.hear("/b").await;
    served.pause().await;
    served.send("GET /c HTTP/1.1\r\nHost: a\r\n\r\n").await;
    served.hear("/c").await;
    assert_eq!(served.begun(), 6);
    // At its end it ends.
    served.pause().await;
    served.client.shutdown().await.unwrap();
    assert_eq!(served.client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn who_is_not_answered_yet_is_not_let_go() {
    let mut served = served(Bodies::Read);
    for path in ["/one", "/slow", "/slow"] {
        served.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        served.hear(path).await;
    }
    assert_eq!(served.paths(), ["/one", "/slow", "/slow"]);
}

#[tokio::test]
async fn a_head_may_come_in_pieces_and_with_another_behind_it() {
    let mut served = served(Bodies::Read);
    served.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHo").await;
    served.hear("/one").await;
    served.pause().await;
    served.send("st: a\r\n\r\n").await;
    served.hear("/2").await;
    served.pause().await;
    for piece in ["G", "ET /3 HTTP/1.1\r", "\nHost: a\r\n\r", "\n"] {
        served.send(piece).await;
        served.pause().await;
    }
    served.hear("/3").await;
    assert_eq!(served.paths(), ["/one", "/2", "/3"]);
}

#[tokio::test]
async fn the_rest_of_a_body_is_never_a_request() {
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let sized = format!("Content-Length: {}", hidden.len() + 1);
    let chunked = "Transfer-Encoding: chunked".to_owned();
    for (head, bodies) in [
        (&sized, Bodies::LeftUnread),
        (&chunked, Bodies::LeftUnread),
        (&sized, Bodies::Held),
        (&chunked, Bodies::Held),
    ] {
        let mut served = served(bodies);
        served.send(&format!("POST /first HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n")).await;
        served.hear("/first").await;
        served.pause().await;
        // Either it is dropped or the connection has ended.
        let _ = served.client.write_all(hidden.as_bytes()).await;
        served.pause().await;
        assert_eq!((served.paths(), served.begun()), (vec!["/first".to_owned()], 1), "{head}");
    }
}

#[tokio::test]
async fn what_the_client_has_not_taken_yet_is_not_lost() {
    let mut served = served(Bodies::Read);
    let long = "x".repeat(4096);
    served.send(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    // There is room for 64 bytes of the answer.
    served.pause().await;
    assert_eq!(served.begun(), 1);
    served.hear(&long).await;
    served.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    served.hear("/2").await;
}
