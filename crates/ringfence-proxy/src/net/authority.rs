//! The authority of one session: it signs the certificates that a world's clients see where TLS is
//! opened. Its key is made with the session, never leaves this process and is gone with it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use ringfence_core::{Clock, Host};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::trust::provider;

/// How long the authority's own certificate is valid, in days: longer than any session.
const AUTHORITY_DAYS: u32 = 397;
/// How long a host's certificate is valid, in hours.
const LEAF_HOURS: u32 = 24;
/// How old a host's certificate may be to be shown again, in hours.
const LEAF_AGE_HOURS_MAX: u32 = 12;
/// How long before now certificates begin to be valid, in hours: clocks of virtual machines lag.
const BACKDATED_HOURS: u32 = 24;
/// Most certificates kept; one more and all are forgotten.
const LEAVES_MAX: usize = 512;
/// Longest common name, in bytes (X.520).
const COMMON_NAME_BYTES_MAX: usize = 64;

/// Length of a line of PEM, in characters.
const PEM_COLUMNS: usize = 64;

const HOUR: Duration = Duration::from_hours(1);

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoCertificate(String);

/// Signs certificates for the hosts of one session.
pub struct Authority {
    clock: Arc<dyn Clock>,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// One key for all hosts: what it protects never leaves this machine.
    leaf_key: KeyPair,
    leaves: Mutex<HashMap<Host, Leaf>>,
}

#[derive(Clone)]
struct Leaf {
    certified: Arc<CertifiedKey>,
    made_ms: u64,
}

impl Authority {
    /// Makes an authority; `name` is what people see in its certificate.
    pub fn new(name: &str, clock: Arc<dyn Clock>) -> Result<Authority, NoCertificate> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid(&mut params, clock.now_ms(), HOUR * 24 * AUTHORITY_DAYS);
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Authority {
            clock,
            issuer: Issuer::new(params, key),
            certificate,
            leaf_key: KeyPair::generate()?,
            leaves: Mutex::default(),
        })
    }

    /// The authority's certificate, for the world's trust stores (PEM, RFC 7468).
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(&self.certificate);
        let lines: Vec<_> =
            text.as_bytes().chunks(PEM_COLUMNS).map(String::from_utf8_lossy).collect();
        let body = lines.join("\n");
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    /// The same as bytes.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// How a client is answered that means `host`.
    pub(super) fn server(&self, host: &Host) -> Result<ServerConfig, NoCertificate> {
        let certified = self.leaf(host)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| NoCertificate(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        // Nothing to resume: each connection is decided, and its handshake stays on this machine.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.ignore_client_order = true;
        Ok(config)
    }

    fn leaf(&self, host: &Host) -> Result<Arc<CertifiedKey>, NoCertificate> {
        let now_ms = self.clock.now_ms();
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        let age_max = (HOUR * LEAF_AGE_HOURS_MAX).as_millis();
        let fresh = |leaf: &&Leaf| u128::from(now_ms.saturating_sub(leaf.made_ms)) < age_max;
        if let Some(leaf) = leaves.get(host).filter(fresh) {
            return Ok(Arc::clone(&leaf.certified));
        }
        let certified = Arc::new(self.sign(host, now_ms)?);
        if leaves.len() >= LEAVES_MAX {
            leaves.clear();
        }
        leaves.insert(host.clone(), Leaf { certified: Arc::clone(&certified), made_ms: now_ms });
        Ok(certified)
    }

    fn sign(&self, host: &Host, now_ms: u64) -> Result<CertifiedKey, NoCertificate> {
        let name = match host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        };
        let mut params = CertificateParams::new(vec![name.clone()])?;
        params.distinguished_name = DistinguishedName::new();
        if name.len() <= COMMON_NAME_BYTES_MAX {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial()?);
        valid(&mut params, now_ms, HOUR * LEAF_HOURS);
        let certificate = params.signed_by(&self.leaf_key, &self.issuer)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        let chain = vec![certificate.der().clone()];
        CertifiedKey::from_der(chain, key, &provider())
            .map_err(|error| NoCertificate(error.to_string()))
    }
}

fn valid(params: &mut CertificateParams, now_ms: u64, length: Duration) {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_millis(now_ms);
    params.not_before = now - HOUR * BACKDATED_HOURS;
    params.not_after = now + length;
}

/// No two certificates of one issuer have the same (RFC 5280, section 4.1.2.2).
fn serial() -> Result<SerialNumber, NoCertificate> {
    let mut bytes = [0_u8; 16];
    let random = provider().secure_random;
    random.fill(&mut bytes).map_err(|_| NoCertificate("no randomness".to_owned()))?;
    // Positive, and of one length.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Without any key.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl fmt::Display for NoCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no certificate could be made: {}", self.0)
    }
}

impl std::error::Error for NoCertificate {}

impl From<rcgen::Error> for NoCertificate {
    fn from(error: rcgen::Error) -> NoCertificate {
        NoCertificate(error.to_string())
    }
}
