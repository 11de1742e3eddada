//! Servers of tools behind `https` addresses, as most of those that are somewhere else are.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::mcp_http::Setup;
use crate::net::stage::certificate;
use crate::person::text;
use crate::started::Started;

/// A server over TLS; ended with its input.
struct Web {
    port: String,
    _server: Started,
}

impl Web {
    fn start(kind: &str) -> Web {
        let (certificate, key) = certificate();
        let mut server = Command::new("node");
        server.arg("tests/net/mcp_tls.js").args([certificate, key]).arg(kind);
        server.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = Started::new(server);
        Web { port: server.first_line(), _server: server }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}/mcp", self.port)
    }
}

/// What one call says, of who believes this certificate.
fn called(web: &Web, believes: Option<&Path>) -> String {
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
        let said = called(&web, believes);
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
