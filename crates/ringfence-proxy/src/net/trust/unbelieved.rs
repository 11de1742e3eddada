//! Why a server is not believed, for a person who can do something about it.

use std::io;

use ringfence_core::Endpoint;
use rustls::{CertificateError, InvalidMessage};

/// What helps where nobody whom the host believes has signed for a server.
const STORE: &str = "who signs its certificates has to be in this host's own store of trusted \
    certificates, or in the file that SSL_CERT_FILE names, in place of that store, in the \
    environment that the session is started in";

/// Why TLS with `endpoint` did not come about.
pub(in crate::net) fn why(endpoint: &Endpoint, error: &io::Error) -> String {
    if speaks_something_else(error) {
        return no_tls(endpoint);
    }
    let host = &endpoint.host;
    let shows = format!("`{endpoint}` does not show that it is `{host}`");
    let Some(wrong) = certificate(error) else {
        return format!("{shows}: {error}");
    };
    if let CertificateError::UnknownIssuer = wrong {
        return format!(
            "{shows}: nobody whom this host believes has signed its certificate; {STORE}"
        );
    }
    if let CertificateError::Expired | CertificateError::ExpiredContext { .. } = wrong {
        return format!("{shows}: its certificate has expired");
    }
    if let CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } = wrong {
        return format!("{shows}: its certificate is not valid yet, or this host's clock is wrong");
    }
    if let CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } =
        wrong
    {
        return format!("{shows}: its certificate is for other names");
    }
    format!("{shows}: {wrong}")
}

/// Said of a server whose first words are no TLS's.
pub(in crate::net) fn no_tls(endpoint: &Endpoint) -> String {
    format!("`{endpoint}` does not speak TLS: `http:` may be meant, or another port")
}

/// Whether what a server said was no record of TLS's.
fn speaks_something_else(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)))
}

fn certificate(error: &io::Error) -> Option<&CertificateError> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    if let rustls::Error::InvalidCertificate(wrong) = error { Some(wrong) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(wrong: CertificateError) -> String {
        let error =
            io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(wrong));
        why(&"a.example:443".parse().unwrap(), &error)
    }

    #[test]
    fn an_unknown_authority_is_said_with_what_helps() {
        let text = said(CertificateError::UnknownIssuer);
        assert!(text.contains("does not show that it is `a.example`"), "{text}");
        assert!(text.contains("SSL_CERT_FILE") && !text.contains("UnknownIssuer"), "{text}");
        assert!(said(CertificateError::Expired).ends_with("its certificate has expired"));
        assert!(said(CertificateError::NotValidForName).ends_with("for other names"));
    }

    #[test]
    fn a_server_without_tls_is_not_said_to_have_a_wrong_certificate() {
        let wrong = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        let error = io::Error::new(io::ErrorKind::InvalidData, wrong);
        let text = why(&"a.example:80".parse().unwrap(), &error);
        assert!(text.starts_with("`a.example:80` does not speak TLS"), "{text}");
    }
}
