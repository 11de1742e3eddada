//! Servers of tools behind `https` addresses, as most of those that are somewhere else are.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Once;

use crate::mcp_http::Setup;
use crate::person::text;

/// A server over TLS; ended with its input.
struct Web {
    port: String,
    child: Child,
    _until_dropped: ChildStdin,
}

impl Web {
    fn start(kind: &str) -> Web {
        let (certificate, key) = certificate();
        let mut server = Command::new("node");
        server.arg("tests/net/mcp_tls.js").args([certificate, key]).arg(kind);
        let mut child = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
        let until_dropped = child.stdin.take().unwrap();
        Web { port: port.trim().to_owned(), child, _until_dropped: until_dropped }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}/mcp", self.port)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate for the loopback's address, and its key.
fn certificate() -> (PathBuf, PathBuf) {
    static MADE: Once = Once::new();
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let at = |end: &str| dir.join(format!("mcp-tls-{}.{end}", std::process::id()));
    MADE.call_once(|| {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "30", "-subj", "/CN=tools", "-addext"])
            .args(["subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(at("key"))
            .arg("-out")
            .arg(at("pem"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made));
    });
    (at("pem"), at("key"))
}

/// What one call says, of who believes this certificate.
fn called(web: &Web, believes: Option<PathBuf>) -> String {
    let setup = Setup::new(&[("web", &web.url())]);
    let mut call =
        setup.person.ringfence(&["mcp", "test", "web", "say", "{}", "--agent", "mcp-client"]);
    call.env_remove("SSL_CERT_FILE");
    call.envs(believes.map(|certificate| ("SSL_CERT_FILE", certificate)));
    text(&call.output().unwrap())
}

#[test]
fn a_server_over_tls_is_called_by_whichever_http_it_speaks() {
    let believes = Some(certificate().0);
    for kind in ["both", "only_h2"] {
        let web = Web::start(kind);
        let said = called(&web, believes.clone());
        assert!(said.contains("said by 2.0"), "{kind}: {said}");
    }
}

#[test]
fn a_server_whose_certificate_nobody_believes_is_told_nothing() {
    for kind in ["both", "only_h2"] {
        let web = Web::start(kind);
        let said = called(&web, None);
        assert!(!said.contains("said by") && said.contains("certificate"), "{kind}: {said}");
    }
}
