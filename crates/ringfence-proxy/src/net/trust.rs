//! Which servers are believed: those whose certificates the host itself would believe.

mod unbelieved;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use ringfence_core::Host;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore};

pub(super) use unbelieved::{no_tls, why};

/// Certificates of authorities that are believed, read when first needed.
pub struct Trust {
    from: From,
    client: OnceLock<Result<ClientConfig, String>>,
}

enum From {
    /// The host's own store, or what its environment names in place of it.
    Host { file: Option<PathBuf>, dir: Option<PathBuf> },
    /// These.
    Given(Vec<CertificateDer<'static>>),
}

impl Trust {
    /// Believes whom the host believes; `SSL_CERT_FILE` and `SSL_CERT_DIR` stand for its store.
    pub fn of_host(file: Option<PathBuf>, dir: Option<PathBuf>) -> Trust {
        Trust { from: From::Host { file, dir }, client: OnceLock::new() }
    }

    /// Believes these authorities only.
    pub fn only(roots: Vec<Vec<u8>>) -> Trust {
        let roots = roots.into_iter().map(CertificateDer::from).collect();
        Trust { from: From::Given(roots), client: OnceLock::new() }
    }

    /// How a server is spoken to, once that has been read; does not block.
    pub(super) fn known(&self) -> Option<Result<ClientConfig, String>> {
        self.client.get().cloned()
    }

    /// How a server is spoken to; reads files the first time. The error is for a person.
    pub(super) fn client(&self) -> Result<ClientConfig, String> {
        self.client.get_or_init(|| self.make()).clone()
    }

    fn make(&self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        let found = match &self.from {
            From::Given(roots) => roots.clone(),
            From::Host { file: None, dir: None } => rustls_native_certs::load_native_certs().certs,
            From::Host { file, dir } => {
                let named =
                    rustls_native_certs::load_certs_from_paths(file.as_deref(), dir.as_deref());
                if named.certs.is_empty() {
                    let why = named.errors.first().map(ToString::to_string).unwrap_or_default();
                    return Err(format!("`SSL_CERT_FILE` of the host has no certificates: {why}"));
                }
                named.certs
            }
        };
        roots.add_parsable_certificates(found);
        if roots.is_empty() {
            return Err("this host has no store of trusted certificates".to_owned());
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(config)
    }
}

/// How TLS is enciphered: AES of 128 bits comes first, as browsers have it, for it is the cheapest.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let make = || {
        let mut provider = ring::default_provider();
        provider.cipher_suites.sort_by_key(|suite| !is_aes_128(suite.suite()));
        Arc::new(provider)
    };
    Arc::clone(PROVIDER.get_or_init(make))
}

fn is_aes_128(suite: CipherSuite) -> bool {
    [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ]
    .contains(&suite)
}

/// What a server must show that it is.
pub(super) fn server_name(host: &Host) -> Result<ServerName<'static>, InvalidDnsNameError> {
    match host {
        Host::Name(name) => ServerName::try_from(name.clone()),
        Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
    }
}
