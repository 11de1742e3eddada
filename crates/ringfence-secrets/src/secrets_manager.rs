//! AWS Secrets Manager: one call, signed with the keys that the SDKs of AWS would find.
//!
//! Which keys, which region and which endpoint is said by the variables and files that those SDKs read;
//! only plain keys are taken from them, no program is run and no other service asked.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, Method, Request};
use ringfence_core::{Clock, Endpoint};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::client::{Address, AddressError, Answer, Call, CallError, Client, WayOut};
use crate::sigv4::key::{Key, KeyError};
use crate::sigv4::{self, SignatureError};
use crate::vault::{Fields, fields_of};

/// Variables that hold keys, which no world may be given.
pub const KEY_VARIABLES: [&str; 3] =
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
/// What this service is called in signatures.
const SERVICE: &str = "secretsmanager";
/// The call that is made.
const TARGET: &str = "secretsmanager.GetSecretValue";
/// Largest file of credentials or of configuration that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The name under which fields have a value that is not looked into.
pub const WHOLE: &str = "";

/// How it is reached, and as whom.
pub struct SecretsManager {
    client: Client,
    clock: Arc<dyn Clock>,
    variables: Variables,
}

/// What the environment says.
struct Variables {
    id: Option<String>,
    secret: Option<Zeroizing<String>>,
    token: Option<Zeroizing<String>>,
    profile: String,
    region: Option<String>,
    endpoint: Option<String>,
    credentials: PathBuf,
    config: PathBuf,
}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsManagerError {
    /// Nobody says who asks.
    #[error(
        "there are no keys for AWS: set $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY, or write them \
         into the profile `{0}` of ~/.aws/credentials"
    )]
    NoKeys(String),
    /// What is there is no key.
    #[error("the keys for AWS are none: {0}")]
    Key(#[from] KeyError),
    /// Nobody says where.
    #[error(
        "it is not said in which region the secret is: add `@REGION` to its place, or set $AWS_REGION"
    )]
    NoRegion,
    /// Not a region.
    #[error("`{0}` is no region of AWS")]
    Region(String),
    /// The endpoint is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It could not be signed.
    #[error("the call cannot be signed: {0}")]
    Signature(#[from] SignatureError),
    /// It could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// There is no such secret.
    #[error("{at} has no secret `{id}` in {region}")]
    Absent {
        /// Whom was asked.
        at: Endpoint,
        /// For what.
        id: String,
        /// Where.
        region: String,
    },
    /// The keys do not allow it.
    #[error(
        "{at} refuses `{id}`: the keys have no permission `secretsmanager:GetSecretValue` for it"
    )]
    Refused {
        /// Whom was asked.
        at: Endpoint,
        /// For what.
        id: String,
    },
    /// The keys are wrong.
    #[error("{at} does not know the keys, or they have expired")]
    Keys {
        /// Whom was asked.
        at: Endpoint,
    },
    /// Something else.
    #[error("{at} answers with status {status}")]
    Status {
        /// Whom was asked.
        at: Endpoint,
        /// The status.
        status: u16,
    },
    /// The answer is not what the documented API answers.
    #[error("{at} answers with something that is not understood")]
    Garbled {
        /// Whom was asked.
        at: Endpoint,
    },
}

/// An answer, as far as it is needed.
#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "SecretString", default)]
    text: Option<Zeroizing<String>>,
    #[serde(rename = "SecretBinary", default)]
    binary: Option<Zeroizing<String>>,
}

/// What kind of failure an answer is.
#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "__type", default)]
    kind: String,
}

impl SecretsManager {
    /// As the variables say; `home` is where files of credentials are by default.
    pub fn of_environment(
        variable: &dyn Fn(&str) -> Option<String>,
        home: &Path,
        (way_out, clock): (&WayOut, Arc<dyn Clock>),
    ) -> SecretsManager {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let file = |name: &str, default: &str| {
            set(name).map_or_else(|| home.join(".aws").join(default), PathBuf::from)
        };
        let way_out = match set("AWS_CA_BUNDLE") {
            Some(bundle) => WayOut { file: Some(bundle.into()), dir: None, ..way_out.clone() },
            None => way_out.clone(),
        };
        let variables = Variables {
            id: set("AWS_ACCESS_KEY_ID"),
            secret: set("AWS_SECRET_ACCESS_KEY").map(Zeroizing::new),
            token: set("AWS_SESSION_TOKEN").map(Zeroizing::new),
            profile: set("AWS_PROFILE").unwrap_or_else(|| "default".to_owned()),
            region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")),
            endpoint: set("AWS_ENDPOINT_URL_SECRETS_MANAGER").or_else(|| set("AWS_ENDPOINT_URL")),
            credentials: file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            config: file("AWS_CONFIG_FILE", "config"),
        };
        SecretsManager { client: Client::new(way_out), clock, variables }
    }

    /// The current value of a secret: all of it as [`WHOLE`], and the texts of an object by their names.
    pub fn value(&self, id: &str, region: Option<&str>) -> Result<Fields, SecretsManagerError> {
        let region = self.region(id, region)?;
        let address = self.address(&region)?;
        let body = Zeroizing::new(json!({ "SecretId": id }).to_string().into_bytes());
        let headers = self.signed(&address, &region, &body)?;
        let (method, body) = (Method::POST, Some(body));
        let call = Call { method, address: &address, path: "/", headers, body };
        let answer = self.client.call(&call)?;
        let at = address.endpoint();
        if answer.status != 200 {
            return Err(refused(&answer, at, (id, region)));
        }
        let garbled = || SecretsManagerError::Garbled { at: at.clone() };
        let wire: Wire = serde_json::from_slice(&answer.body).map_err(|_| garbled())?;
        let text = match (wire.text, wire.binary) {
            (Some(text), _) => text,
            (None, Some(binary)) => {
                let bytes = Zeroizing::new(STANDARD.decode(&*binary).map_err(|_| garbled())?);
                Zeroizing::new(std::str::from_utf8(&bytes).map_err(|_| garbled())?.to_owned())
            }
            (None, None) => return Err(garbled()),
        };
        // What is no object has no names in it.
        let mut all = fields_of(&text).unwrap_or_default();
        all.insert(WHOLE.to_owned(), text);
        Ok(all)
    }

    /// The headers of a call, with its signature.
    fn signed(
        &self,
        address: &Address,
        region: &str,
        body: &[u8],
    ) -> Result<Vec<(HeaderName, Zeroizing<String>)>, SecretsManagerError> {
        let key = self.key()?;
        let unwritable = |_| SecretsManagerError::Call(CallError::Unwritable);
        let (mut head, ()) = Request::builder()
            .method(Method::POST)
            .uri(address.path("/"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", TARGET)
            .body(())
            .map_err(unwritable)?
            .into_parts();
        let (host, digest) = (address.authority(), sigv4::digest(body));
        let moment = timestamp(self.clock.now_ms());
        sigv4::sign(&mut head, (&host, &digest), (region, SERVICE), (&key, &moment))?;
        let text = |(name, value): (&HeaderName, &http::HeaderValue)| {
            let value = value.to_str().ok()?;
            Some((name.clone(), Zeroizing::new(value.to_owned())))
        };
        Ok(head.headers.iter().filter_map(text).collect())
    }

    /// The region that is named, of an ARN, of a variable, or of the profile.
    fn region(&self, id: &str, named: Option<&str>) -> Result<String, SecretsManagerError> {
        let of_arn = id.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2));
        let Variables { region, profile, config, .. } = &self.variables;
        let found = named.or(of_arn).map(str::to_owned).or_else(|| region.clone());
        let found = found.or_else(|| {
            let text = read(config)?;
            in_profile(&text, profile, "region").map(str::to_owned)
        });
        let region = found.ok_or(SecretsManagerError::NoRegion)?;
        if is_region(&region) { Ok(region) } else { Err(SecretsManagerError::Region(region)) }
    }

    fn address(&self, region: &str) -> Result<Address, SecretsManagerError> {
        if let Some(endpoint) = &self.variables.endpoint {
            return Ok(endpoint.parse()?);
        }
        let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        Ok(format!("https://{SERVICE}.{region}.{end}").parse()?)
    }

    /// The keys of this moment: of the environment, or of the profile.
    fn key(&self) -> Result<Key, SecretsManagerError> {
        let Variables { id, secret, token, profile, credentials, .. } = &self.variables;
        if let (Some(id), Some(secret)) = (id, secret) {
            return Ok(Key::new(id, secret, token.as_ref().map(|token| token.as_str()))?);
        }
        let no_keys = || SecretsManagerError::NoKeys(profile.clone());
        let text = read(credentials).ok_or_else(no_keys)?;
        let named = |name| in_profile(&text, profile, name);
        match (named("aws_access_key_id"), named("aws_secret_access_key")) {
            (Some(id), Some(secret)) => Ok(Key::new(id, secret, named("aws_session_token"))?),
            (Some(_) | None, _) => Err(no_keys()),
        }
    }
}

/// What an answer that is none means; what it says is not passed on.
fn refused(answer: &Answer, at: &Endpoint, (id, region): (&str, String)) -> SecretsManagerError {
    let failure: Option<Failure> = serde_json::from_slice(&answer.body).ok();
    let kind = failure.map(|it| it.kind).unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default();
    let (at, id) = (at.clone(), id.to_owned());
    match kind {
        "ResourceNotFoundException" => SecretsManagerError::Absent { at, id, region },
        "AccessDeniedException" | "AccessDenied" => SecretsManagerError::Refused { at, id },
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "ExpiredToken"
        | "ExpiredTokenException" => SecretsManagerError::Keys { at },
        _ if matches!(answer.status, 401 | 403) => SecretsManagerError::Keys { at },
        _ => SecretsManagerError::Status { at, status: answer.status },
    }
}

/// `us-east-1`, `us-gov-west-1`: as little as makes a part of a host's name.
pub(crate) fn is_region(text: &str) -> bool {
    let mut parts = text.split('-');
    let word = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_lowercase());
    let number = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 32
        && parts.next_back().is_some_and(number)
        && parts.clone().count() >= 2
        && parts.all(word)
}

/// What a profile says of a name; a file of configuration writes `[profile NAME]`.
fn in_profile<'a>(text: &'a str, profile: &str, name: &str) -> Option<&'a str> {
    let mut within = false;
    let mut found = None;
    for line in text.lines() {
        let bare = line.trim();
        if let Some(title) = bare.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let title = title.trim();
            within = title.strip_prefix("profile ").unwrap_or(title).trim() == profile;
        } else if let (true, Some((key, value))) = (within, bare.split_once('='))
            // What is indented belongs to the setting above it.
            && line.starts_with(|first: char| !first.is_whitespace())
            && key.trim() == name
        {
            found = Some(value.trim());
        }
    }
    found.filter(|value| !value.is_empty())
}

fn read(path: &Path) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// `YYYYMMDDTHHMMSSZ`.
fn timestamp(now_ms: u64) -> String {
    let now = i64::try_from(now_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    now.unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests;
