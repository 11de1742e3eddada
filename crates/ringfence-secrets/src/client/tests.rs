use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};

use base64::Engine as _;

use super::*;

/// A server that answers one request with these bytes, and says what it was asked.
fn server(answer: impl Fn(&mut TcpStream) + Send + 'static) -> (Address, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (say, heard) = sync_channel(8);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut head = String::new();
            while let Some(Ok(line)) =
                lines.next().filter(|line| !matches!(line, Ok(it) if it.is_empty()))
            {
                head.push_str(&line);
                head.push('\n');
            }
            let _ = say.send(head);
            answer(&mut stream);
        }
    });
    (format!("http://127.0.0.1:{port}").parse().unwrap(), heard)
}

fn says(text: &'static str) -> (Address, Receiver<String>) {
    server(move |stream| {
        let _ = stream.write_all(text.as_bytes());
    })
}

fn get(client: &Client, address: &Address) -> Result<Answer, CallError> {
    let token = ("x-token".parse().unwrap(), Zeroizing::new("s.never-shown".to_owned()));
    let call =
        Call { method: Method::GET, address, path: "/v1/a?b=c", headers: vec![token], body: None };
    client.call(&call)
}

fn refusal(client: &Client, address: &Address) -> String {
    let text = get(client, address).err().unwrap().to_string();
    assert!(!text.contains("never-shown"), "{text}");
    text.replace(&address.endpoint().to_string(), "AT")
}

fn patient(ms: u64) -> Client {
    Client::new(WayOut::default()).within(Duration::from_millis(ms))
}

#[test]
fn an_answer_is_had_whole_whatever_its_status() {
    let (address, heard) = says("HTTP/1.1 403 Forbidden\r\ncontent-length: 5\r\n\r\nno no");
    let answer = get(&Client::new(WayOut::default()), &address).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (403, &b"no no"[..]));
    let head = heard.recv().unwrap();
    assert!(head.starts_with("GET /v1/a?b=c HTTP/1.1\n"), "{head}");
    assert!(head.contains("x-token: s.never-shown\n"), "{head}");
    assert!(head.contains(&format!("host: {}\n", address.authority())), "{head}");
}

#[test]
fn a_body_is_sent() {
    let (address, heard) = says("HTTP/1.1 204 No Content\r\n\r\n");
    let body = Some(Zeroizing::new(b"{}".to_vec()));
    let (method, headers) = (Method::PUT, Vec::new());
    let call = Call { method, address: &address, path: "/", headers, body };
    assert_eq!(Client::new(WayOut::default()).call(&call).ok().unwrap().status, 204);
    let head = heard.recv().unwrap();
    assert!(head.starts_with("PUT / ") && head.contains("content-length: 2\n"), "{head}");
}

#[test]
fn what_is_odd_about_an_answer_is_said_without_quoting_it() {
    for (answer, expected) in [
        ("", "AT answers with something that is not understood"),
        ("s.never-shown\r\n\r\n", "AT answers with something that is not understood"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\ns.never-shown",
            "AT answers with something that is not understood",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: https://evil.example/?s.never-shown\r\ncontent-length: 0\r\n\r\n",
            "AT sends to another address, which is not followed: evil.example",
        ),
        (
            "HTTP/1.1 307 Go\r\nlocation: /v1/other\r\ncontent-length: 0\r\n\r\n",
            "AT sends to another address, which is not followed",
        ),
    ] {
        let (address, heard) = says(answer);
        assert_eq!(refusal(&patient(5000), &address), expected);
        heard.recv().unwrap();
        assert!(heard.recv_timeout(Duration::from_millis(50)).is_err(), "asked twice");
    }
}

#[test]
fn an_endless_answer_is_given_up() {
    for head in ["HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"]
    {
        let (address, _heard) = server(move |stream| {
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(&[b'a'; 16384]).is_ok() {}
        });
        let said = refusal(&patient(10_000), &address);
        assert_eq!(said, "AT answers with more than 2097152 bytes");
    }
    let (address, _heard) = server(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"x-padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").is_ok() {}
    });
    assert_eq!(
        refusal(&patient(10_000), &address),
        "AT answers with something that is not understood"
    );
}

#[test]
fn nobody_is_waited_for_without_end() {
    let silent = server(|stream| {
        let mut left = Vec::new();
        let _ = stream.read_to_end(&mut left);
    });
    // Each byte comes in time, the whole does not.
    let dripping = server(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b"a").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for (address, _heard) in [silent, dripping] {
        let said = refusal(&patient(1000), &address);
        assert_eq!(said, "AT did not answer within 1 s");
    }
}

#[test]
fn nobody_there_is_said() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("http://127.0.0.1:{port}").parse().unwrap();
    let said = refusal(&patient(5000), &address);
    assert_eq!(said, "AT cannot be reached: Connection refused (os error 111)");
    let address = "https://nobody.invalid".parse().unwrap();
    let said = refusal(&patient(5000), &address);
    // Where nobody answers the question for the name, that is found out too.
    let no_name = "AT cannot be reached: its name cannot be looked up";
    assert!([no_name, "AT did not answer within 5 s"].contains(&said.as_str()), "{said}");
}

#[test]
fn a_server_is_believed_by_its_certificate_only() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            let _ = stream.flush();
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let text = base64::engine::general_purpose::STANDARD.encode(made.cert.der());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    std::fs::write(&file, pem).unwrap();
    let named = |file| Client::new(WayOut { file: Some(file), ..WayOut::default() });
    let address = format!("https://localhost:{port}").parse().unwrap();
    assert_eq!(get(&named(file.clone()), &address).ok().unwrap().body.as_slice(), b"ok");
    let said = refusal(&Client::new(WayOut::default()), &address);
    assert!(said.starts_with("AT is not believed: invalid peer certificate"), "{said}");
    let other = format!("https://127.0.0.1:{port}").parse().unwrap();
    let said = refusal(&named(file), &other);
    assert!(said.starts_with("AT is not believed: invalid peer certificate"), "{said}");
    let said = refusal(&named(dir.path().join("absent")), &address);
    assert!(said.starts_with("AT is not believed: there are no certificates"), "{said}");
}

#[test]
fn the_way_out_is_the_hosts_own_proxy() {
    let (proxy, heard) = says("HTTP/1.1 403 Forbidden\r\n\r\n");
    let url = format!("http://user:word@{}", proxy.authority());
    let towards = move |at: &Endpoint| match at.port {
        1 => Err("it speaks another language".to_owned()),
        _ => Ok(Some(url.clone())),
    };
    let way_out = WayOut { proxy: Some(Arc::new(towards)), ..WayOut::default() };
    let client = Client::new(way_out).within(Duration::from_secs(5));
    let said = refusal(&client, &"https://vault.example".parse().unwrap());
    assert_eq!(said, "AT cannot be reached: the host's proxy does not connect to it");
    let asked = heard.recv().unwrap();
    assert!(asked.starts_with("CONNECT vault.example:443 HTTP/1.1\n"), "{asked}");
    assert!(asked.contains("dXNlcjp3b3Jk"), "{asked}");
    let said = refusal(&client, &"https://vault.example:1".parse().unwrap());
    assert_eq!(said, "AT cannot be reached: it speaks another language");
    // What is on this machine is reached from this machine.
    let (own, _heard) = says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(get(&client, &own).ok().unwrap().status, 200);
}

#[test]
fn an_address_is_one_of_tls_or_of_this_machine() {
    let spelled = |text: &str| text.parse::<Address>().map(|it| it.to_string());
    for (text, expected) in [
        ("https://Vault.Example:8200/", "https://vault.example:8200"),
        ("HTTPS://vault.example:443/prefix/", "https://vault.example/prefix"),
        ("http://127.0.0.1:8200", "http://127.0.0.1:8200"),
        ("http://[::1]:8200", "http://[::1]:8200"),
        ("http://localhost", "http://localhost"),
    ] {
        assert_eq!(spelled(text).unwrap(), expected);
    }
    for text in [
        "http://vault.example:8200",
        "http://10.0.0.1",
        "http://localhost.evil.example",
        "vault.example",
        "unix:///run/vault.sock",
        "https://",
        "https://user:password@vault.example",
        "https://vault.example?x",
        "https://vault.example/a#b",
        "https://vault.example/../a",
        "https://vault.example/a b",
        "https://vault.example:0",
        "https://127.1",
        "https://vault.example/%2e",
    ] {
        let error = spelled(text).unwrap_err().to_string();
        assert!(!error.contains("password"), "{error}");
    }
}
