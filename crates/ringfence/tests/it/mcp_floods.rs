//! Peers over HTTP that send much, or half of something: nobody else waits for them.

use std::io::{BufReader, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::mcp_http::{Asked, Setup, Web, plain, result};
use crate::served::{Served, got};

/// Bytes of an event of the flood.
const EVENT_BYTES: usize = 256 * 1024;

/// Events of a flood that nobody stops.
const EVENTS_MAX: usize = 100;

/// Calls that another makes meanwhile.
const CALLS: u64 = 8;

/// A server whose calls are answered behind very many large events, and how many it has sent.
struct Flood {
    web: Web,
    sent: Arc<AtomicUsize>,
    stops: Arc<AtomicBool>,
}

impl Flood {
    fn serve(event: String) -> Flood {
        let (sent, stops) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, stop) = (Arc::clone(&sent), Arc::clone(&stops));
        let web = Web::serve(move |asked: &Asked, to: &mut TcpStream| {
            if asked.body["method"] != "tools/call" {
                return plain(asked, to);
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
            let _ = write!(to, "{head}connection: close\r\n\r\n");
            while count.load(Ordering::SeqCst) < EVENTS_MAX && !stop.load(Ordering::SeqCst) {
                if write!(to, "data: {event}\n\n").is_err() {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
            let _ = write!(to, "data: {}\n\n", result(asked));
            let _ = to.shutdown(Shutdown::Write);
        });
        Flood { web, sent, stops }
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }
}

fn call(id: u64, server: &str) -> Value {
    let params = json!({"name": format!("{server}__say"), "arguments": {}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

/// Progress of nothing: it is looked at, and passed on to nobody.
fn told(filled: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"none","progress":1,"x":{filled}}}}}"#
    )
}

#[test]
fn a_server_that_floods_holds_up_no_other_session() {
    let (large, small) = (EVENT_BYTES / 3, 16);
    let filled = |count: usize| format!("[{}0]", "[],".repeat(count));
    // Few events that are large, and many of which each is nothing.
    for (event, at_once) in [(told(&filled(large)), 1), (told(&filled(small)), 1_024)] {
        let flood = Flood::serve([event.as_str()].repeat(at_once).join("\n\ndata: "));
        let web = Web::serve(plain);
        let setup = Setup::new(&[("flood", &flood.web.url()), ("web", &web.url())]);
        let served = Served::start(&setup.person, &[]);
        let (first, second) = (served.begin("2025-06-18"), served.begin("2025-06-18"));
        std::thread::scope(|scope| {
            let flooded = scope.spawn(|| served.post(&first, &call(7, "flood")));
            wait_until("it floods", || flood.sent() > 1);
            for id in 0..CALLS {
                let got = served.post(&second, &call(id, "web"));
                assert!(got.body.contains("said"), "{} {}", got.head, got.body);
            }
            let sent = flood.sent();
            flood.stops.store(true, Ordering::SeqCst);
            assert!(sent < EVENTS_MAX, "all of the flood came before {CALLS} calls were answered");
            assert!(
                flooded.join().unwrap().body.contains("said"),
                "and its own client is answered"
            );
        });
        let said = served.end();
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn half_heads_of_who_has_no_token_keep_nobody_out() {
    const HALF: usize = 1_100;
    let web = Web::serve(plain);
    let setup = Setup::new(&[("web", &web.url())]);
    let served = Served::start(&setup.person, &[]);
    let mut kept = served.connect();
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let session = served.begin("2025-06-18");
    let head = served.head("POST", &format!("{session}content-length: {}\r\n", list.len()));
    let ask = |stream: &mut TcpStream| {
        stream.write_all(format!("{head}\r\n{list}").as_bytes()).unwrap();
        got(&mut BufReader::new(stream.try_clone().unwrap()))
    };
    assert_eq!(ask(&mut kept).status, 200);
    let half = |from: &str| {
        let mut stream = served.connect();
        stream.write_all(from.as_bytes()).unwrap();
        stream
    };
    // More than there is room for: some send nothing at all, some a head without the token.
    let beginnings = ["", "POST /mcp HTTP/1.1\r\nx: ", "GET / HTTP/1.1\r\n\r\n"];
    let all: Vec<TcpStream> = (0..HALF).map(|at| half(beginnings[at % 3])).collect();
    let began = Instant::now();
    for _ in 0..8 {
        let got = ask(&mut served.connect());
        assert_eq!(got.status, 200, "who comes with the token has a place: {}", got.head);
    }
    // Less than such a connection is kept at all: it was not waited for.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(ask(&mut kept).status, 200, "nor does who has shown the token lose its own");
    drop(all);
    served.end();
}
