//! Clients over HTTP of servers behind addresses: one thread carries them all, and none of them holds up another.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::mcp_http::{Asked, Setup, Web, json_answer, plain, result};
use crate::person::Person;
use crate::served::Served;

/// Longest text that a server here says, in bytes: more than is looked through on the way.
const LONG_BYTES: usize = 300_000;

/// Says what it is told; `slow` takes two seconds, `long` is answered at length.
fn says(asked: &Asked, to: &mut TcpStream) {
    match asked.body["method"].as_str() {
        Some("tools/call") => {}
        Some("tools/list") => {
            let mut answer = result(asked);
            answer["result"]["tools"] = json!([tool()]);
            return json_answer(to, &answer);
        }
        _ => return plain(asked, to),
    }
    let text = asked.body["params"]["arguments"]["x"].as_str().unwrap_or_default().to_owned();
    let said = match text.split(' ').next().unwrap_or_default() {
        "slow" => {
            std::thread::sleep(Duration::from_secs(2));
            text
        }
        "long" => format!("{text} {}", "word ".repeat(LONG_BYTES / 5)),
        _ => text,
    };
    let mut answer = result(asked);
    answer["result"]["content"][0]["text"] = json!(said);
    json_answer(to, &answer);
}

fn tool() -> Value {
    let properties = json!({"x": {"type": "string"}});
    json!({"name": "say", "inputSchema": {"type": "object", "properties": properties}})
}

fn served() -> (Web, Person, Served) {
    let web = Web::serve(says);
    let setup = Setup::new(&[("web", &web.url())]);
    setup.pinned("web", &web.url(), &tool());
    setup.in_force(
        "forbid (principal, action == Action::\"web/say\", resource) when { context.args has x && context.args.x == \"no\" };",
    );
    let served = Served::start(&setup.person, &[]);
    (web, setup.person, served)
}

fn call(id: u64, text: &str) -> Value {
    let params = json!({"name": "say", "arguments": {"x": text}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

fn said(served: &Served, session: &str, (id, text): (u64, &str)) -> String {
    answered(served, session, (id, &call(id, text)))
}

fn answered(served: &Served, session: &str, (id, call): (u64, &Value)) -> String {
    let got = served.post(session, call);
    let answer = got.json();
    assert_eq!(answer["id"], id, "{} {}", got.head, got.body);
    answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn clients_of_servers_behind_addresses_do_not_hold_up_one_another() {
    let (web, _person, served) = served();
    let (first, second) = (served.begin("2025-06-18"), served.begin("2025-06-18"));
    assert_eq!(said(&served, &first, (7, "a")), "a");
    assert!(said(&served, &first, (8, "no")).contains("denied"), "decided like all calls");
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| said(&served, &first, (9, "slow 1")));
        std::thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        assert_eq!(said(&served, &second, (9, "b")), "b");
        assert_eq!(said(&served, &first, (10, "c")), "c", "nor does a call hold up its own client");
        assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
        assert_eq!(slow.join().unwrap(), "slow 1");
    });
    let ended = served.send(served.head("DELETE", &format!("{first}\r\n")).as_bytes());
    assert_eq!(ended.status, 200, "{}", ended.head);
    assert_eq!(served.post(&first, &call(11, "x")).status, 404);
    assert_eq!(said(&served, &second, (12, "y")), "y");
    let begun = Instant::now();
    served.end();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let methods = |method: &str| web.asked().iter().filter(|it| it.method == method).count();
    assert_eq!(methods("DELETE"), 2, "each session was ended at the server");
}

#[test]
fn what_takes_its_time_stays_in_its_order_and_disturbs_nobody() {
    const CLIENTS: u64 = 8;
    const CALLS: u64 = 12;
    let (_web, _person, served) = served();
    let sessions: Vec<String> = (0..CLIENTS).map(|_| served.begin("2025-06-18")).collect();
    std::thread::scope(|scope| {
        for (number, session) in sessions.iter().enumerate() {
            let served = &served;
            scope.spawn(move || {
                for id in 2..CALLS {
                    // Large questions, large answers, and small ones between them.
                    let long = if id % 3 == 1 { "long " } else { "" };
                    let text = format!("{long}{number} {id}");
                    let mut asked = call(id, &text);
                    if id % 3 == 0 {
                        asked["params"]["_meta"] = json!({"x": "large ".repeat(20_000)});
                    }
                    let got = answered(served, session, (id, &asked));
                    assert!(got.starts_with(&text), "{number} {id}: {got:.200}");
                    assert_eq!(got.len() > LONG_BYTES, id % 3 == 1);
                }
            });
        }
    });
    let told = served.end();
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn a_large_question_holds_up_nobody_else() {
    let (_web, _person, served) = served();
    let (large, small) = (served.begin("2025-06-18"), served.begin("2025-06-18"));
    let mut asked = call(7, "a");
    asked["params"]["_meta"] = json!({"x": "large ".repeat(2_000_000)});
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let large = scope.spawn(|| answered(&served, &large, (7, &asked)));
        let (mut slowest, mut count) = (Duration::ZERO, 0);
        while !large.is_finished() {
            let began = Instant::now();
            let text = count.to_string();
            assert_eq!(said(&served, &small, (8, &text)), text);
            slowest = slowest.max(began.elapsed());
            count += 1;
        }
        assert_eq!(large.join().unwrap(), "a");
        let all = begun.elapsed();
        // Reading it takes its time several times over; none of that is where others wait.
        assert!(count > 10 && slowest < all / 4, "{slowest:?} of {all:?}, {count}");
    });
}

#[test]
fn what_is_too_large_for_the_log_is_denied_and_ends_nobodys_session() {
    let (_web, person, served) = served();
    let (large, other) = (served.begin("2025-06-18"), served.begin("2025-06-18"));
    let said_large = said(&served, &large, (7, &"a".repeat(12_000_000)));
    assert!(said_large.contains("too large to be recorded"), "{said_large:.300}");
    for session in [&large, &other] {
        assert_eq!(said(&served, session, (8, "b")), "b");
    }
    served.end();
    let log = person.succeed(&["log", "show", "--json"]);
    assert!(log.contains("too large to be recorded"), "{log:.2000}");
}

/// How many answers have begun that never end.
static BEGUN: AtomicUsize = AtomicUsize::new(0);

/// Begins a large answer and, once enough of them have begun, breaks it off.
fn begins(asked: &Asked, to: &mut TcpStream) {
    const MANY: usize = 6;
    let text = asked.body["params"]["arguments"]["x"].as_str().unwrap_or_default();
    if text != "huge" {
        return says(asked, to);
    }
    let piece = vec![b' '; 1024 * 1024];
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let _ = write!(to, "{head}content-length: 16000000\r\n\r\n");
    // Who is not listened to any more is done as well.
    let _ = (0..15).try_for_each(|_| to.write_all(&piece));
    BEGUN.fetch_add(1, Ordering::SeqCst);
    let until = Instant::now() + Duration::from_secs(20);
    while BEGUN.load(Ordering::SeqCst) < MANY && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn what_is_kept_of_answers_that_have_not_ended_is_bounded_over_all_sessions() {
    let web = Web::serve(begins);
    let setup = Setup::new(&[("web", &web.url())]);
    setup.pinned("web", &web.url(), &tool());
    let served = Served::start(&setup.person, &[]);
    let sessions: Vec<String> = (0..6).map(|_| served.begin("2025-06-18")).collect();
    let ask = &|session: &String| served.post(session, &call(7, "huge")).json().to_string();
    let told: Vec<String> = std::thread::scope(|scope| {
        let all: Vec<_> =
            sessions.iter().map(|session| scope.spawn(move || ask(session))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let too_many = told.iter().filter(|it| it.contains("67108864 bytes together")).count();
    assert!((1..=3).contains(&too_many), "{told:?}");
    for session in &sessions {
        assert_eq!(said(&served, session, (8, "b")), "b", "others go on, and it too");
    }
}

#[test]
fn a_trace_comes_and_goes_by_headers_as_well() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (web, _person, served) = served();
    let session = served.begin("2025-06-18");
    let parent = |span: &str| format!("00-{TRACE}-{span}-01");
    let by_header = format!("traceparent: {}\r\ntracestate: a=1\r\n", parent("00f067aa0ba902b7"));
    let (plain, mut own) = (call(7, "a"), call(8, "b"));
    assert_eq!(said(&served, &format!("{session}{by_header}"), (6, "x")), "x");
    own["params"]["_meta"] = json!({"traceparent": parent("00f067aa0ba902b8")});
    answered(&served, &format!("{session}{by_header}"), (8, &own));
    answered(&served, &session, (7, &plain));
    let calls: Vec<Asked> =
        web.asked().into_iter().filter(|it| it.body["method"] == "tools/call").collect();
    let [first, second, third] = calls.as_slice() else { panic!("{calls:?}") };
    for (asked, state) in [(first, Some("a=1")), (second, None)] {
        let told = asked.headers.get("traceparent").unwrap();
        assert_eq!(asked.body["params"]["_meta"]["traceparent"], json!(told), "both say the same");
        assert!(told.starts_with(&format!("00-{TRACE}-")) && !told.contains("-00f067aa0ba902b"));
        assert_eq!(asked.headers.get("tracestate").map(String::as_str), state);
    }
    assert!(!third.headers.contains_key("traceparent"), "what is not said is not made up");
    let shown = served.end();
    assert_eq!(shown.matches("is not what its request says").count(), 1, "{shown}");
}
