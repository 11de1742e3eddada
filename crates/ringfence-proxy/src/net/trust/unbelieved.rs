//! Why a server is not believed, for a person who can do something about it.

use std::io;

use ringfence_core::Endpoint;
use rustls::{CertificateError, InvalidMessage};

/// What helps where nobody whom the host believes has signed for a server.
const STORE: &str = "who signs its certificates has to be in this host's own store of trusted \
    certificates, or in the file that SSL_CERT_FILE names, in place of that store, in the \
    environment that the session is started in";

/// What the library says, having no words for it, of an authority's certificate that a server shows as its own.
const AUTHORITY: &str = "CaUsedAsEndEntity";

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
    if let CertificateError::Other(other) = wrong
        && other.to_string() == AUTHORITY
    {
        return format!(
            "{shows}: its certificate is an authority's (`CA:TRUE`) and none of a server; make one \
             anew, with `-addext basicConstraints=critical,CA:FALSE` where `openssl req -x509` makes it"
        );
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
    use rustls::client::danger::ServerCertVerifier as _;

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

    /// What is said of a server that shows a certificate which it signed itself and which is believed.
    fn shown(is_ca: rcgen::IsCa) -> Option<String> {
        let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = super::super::provider();
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        let name = "a.example".try_into().unwrap();
        let now = rustls::pki_types::UnixTime::now();
        let verifier = verifier.build().unwrap();
        let error = verifier.verify_server_cert(&certificate, &[], &name, &[], now).err()?;
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        Some(why(&"a.example:443".parse().unwrap(), &error))
    }

    #[test]
    fn an_authoritys_certificate_that_a_server_shows_is_said_with_what_to_make_instead() {
        let text = shown(rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)).unwrap();
        assert!(text.contains("CA:TRUE") && text.contains("CA:FALSE"), "{text}");
        assert!(!text.contains(AUTHORITY), "{text}");
        assert_eq!(shown(rcgen::IsCa::ExplicitNoCa), None);
    }
}
