//! A new token in the place of one that has ended, without the person: by one session at a time, since what it is had
//! for counts once.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use ringfence_core::{Clock as _, SecretName, ServerName};
use ringfence_proxy::mcp::http::remote::Renew;
use ringfence_proxy::mcp::http::url::Url;
use ringfence_proxy::mcp::oauth::flow::renew;
use ringfence_proxy::mcp::oauth::web::Web;
use ringfence_secrets::Secret;
use ringfence_secrets::store::Store;

use super::{Kept, opened, renewal_of, sealed, token_of, with_secret};
use crate::clock::HostClock;
use crate::wording::shell_word;

/// How long a token that was just had is taken for the newest, in milliseconds: requests that were sent with the one
/// before come back meanwhile.
const NEW_MS: u64 = 5_000;

/// How often is looked whether another session has done it.
const LOOK: Duration = Duration::from_millis(20);

/// How often at most.
const LOOKS_MAX: u32 = 3_000;

/// Renews the login of one server.
pub(in super::super) struct Renewal {
    server: ServerName,
    store: Store,
    lock: PathBuf,
    web: Web,
}

impl Renewal {
    /// For a server that is logged in at; nothing for any other.
    pub(in super::super) fn of(server: &ServerName, dir: &Path, web: Web) -> Option<Renewal> {
        let store = Store::at(dir.to_owned());
        store.binding(&renewal_of(server)?).ok()?;
        let lock = dir.join(format!(".{server}.login"));
        Some(Renewal { server: server.clone(), store, lock, web })
    }

    async fn renewed(&self) -> Result<(), String> {
        let _held = self.alone().await?;
        let next = renewal_of(&self.server).ok_or("it has no name")?;
        let token = token_of(&self.server).ok_or("it has no name")?;
        let kept = self.store.value(&next).map_err(|error| error.to_string())?;
        let kept = opened(&kept).ok_or("what it was kept as cannot be read")?;
        if HostClock::utc().now_ms().saturating_sub(kept.had_ms) < NEW_MS {
            return Ok(());
        }
        let refresh = kept.refresh.as_deref().ok_or("it cannot be renewed")?;
        let url: Url = kept.token.parse()?;
        let client = with_secret(&kept.client, (&self.store, kept.secret.as_ref()), &url);
        let client = client.map_err(|error| error.to_string())?;
        let post = renew(refresh, &kept.resource, &client);
        let tokens = self.web.tokens(&url, &post).await.map_err(|error| error.to_string())?;
        // One that is not rotated stays.
        let refresh = tokens.refresh.as_deref().cloned().or(kept.refresh.clone());
        let had_ms = HostClock::utc().now_ms();
        let kept = Kept { refresh, had_ms, ..kept };
        // First what the next one is had for: without it the login is lost.
        self.put(&next, &sealed(next.clone(), &kept).map_err(|error| error.to_string())?)?;
        let value =
            Secret::new(token.clone(), &tokens.access).map_err(|error| error.to_string())?;
        self.put(&token, &value)
    }

    fn put(&self, name: &SecretName, value: &Secret) -> Result<(), String> {
        self.store.renew(name, value).map_err(|error| error.to_string())
    }

    /// Waits until no other session does the same.
    async fn alone(&self) -> Result<File, String> {
        let failed = |error: std::io::Error| error.to_string();
        let mut open = OpenOptions::new();
        let file = open.create(true).truncate(false).write(true).mode(0o600).open(&self.lock);
        let file = file.map_err(failed)?;
        for _ in 0..LOOKS_MAX {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK).await,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        Err("another session renews it for too long".to_owned())
    }
}

impl Renew for Renewal {
    fn renew(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async {
            self.renewed().await.map_err(|why| {
                let server = &self.server;
                format!(
                    "the login at `{server}` has ended: {why}; a person can renew it with `ringfence mcp login {server}`"
                )
            })
        })
    }

    fn wants(&self, scope: &str) -> String {
        let server = &self.server;
        match shell_word(scope) {
            Some(word) => format!(
                "`{server}` wants a login for more (`{scope}`); a person can give it with `ringfence mcp login {server} --scope {word}`"
            ),
            None => format!("`{server}` wants a login for more than it has"),
        }
    }
}
