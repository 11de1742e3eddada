//! Asks for what a login needs: every connection is decided by the rules of the net gate for the agent that is called
//! like the server, and no redirect is followed.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Method, Request, StatusCode};
use ringfence_core::Gate;
use serde_json::Value;
use tokio::time::timeout;

use super::super::http::url::Url;
use super::flow::{Post, Tokens, tokens};
use super::metadata::{Authority, Named, Resource, authority, resource, usual};
use super::{DOCUMENT_BYTES_MAX, OauthError, refused};
use crate::net::{NetConfig, Own, Secrets, header};

/// How long an answer may take, in seconds.
const ANSWER_SECONDS_MAX: u64 = 30;

/// A way to what a login needs.
#[derive(Clone)]
pub struct Web {
    /// Decides.
    pub gate: Gate,
    /// As whom.
    pub config: Arc<dyn Fn() -> NetConfig + Send + Sync>,
}

/// What was answered.
struct Got {
    status: StatusCode,
    to: Option<String>,
    body: Vec<u8>,
}

impl Web {
    /// Who gives out tokens for a server, by the first of these places that says so; nothing where none does.
    pub async fn resource(
        &self,
        places: &[Url],
        server: &Url,
    ) -> Result<Option<Resource>, OauthError> {
        match self.document(places).await? {
            Some(document) => resource(&document, server).map(Some),
            None => Ok(None),
        }
    }

    /// How tokens are had from an issuer, by the first of these places that says so; as is usual where a server's own host
    /// says nothing.
    pub async fn authority(
        &self,
        places: &[Url],
        (named, server): (Named<'_>, &Url),
    ) -> Result<Authority, OauthError> {
        match (self.document(places).await?, named) {
            (Some(document), _) => authority(&document, named, server),
            (None, Named::Host) => Ok(usual(server)),
            (None, Named::As(issuer)) => {
                Err(refused(format!("`{issuer}` does not say how tokens are had there")))
            }
        }
    }

    /// Makes us known; the answer is for [`super::flow::registered`].
    pub async fn register(&self, url: &Url, said: &Value) -> Result<Value, OauthError> {
        let got = self.send(url, posted(url, "application/json", said.to_string())).await?;
        json_of(url, &got)
    }

    /// Has tokens.
    pub async fn tokens(&self, url: &Url, post: &Post) -> Result<Tokens, OauthError> {
        let mut request =
            posted(url, "application/x-www-form-urlencoded", post.body.as_str().to_owned());
        if let Some(login) = &post.login {
            let mut value =
                HeaderValue::from_str(login).map_err(|_| refused("the client's secret is none"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let got = self.send(url, request).await?;
        tokens(&json_of(url, &got)?)
    }

    /// The first document that is there.
    async fn document(&self, places: &[Url]) -> Result<Option<Value>, OauthError> {
        for url in places {
            let mut request = Request::new(Bytes::new());
            *request.uri_mut() = url.target.parse().unwrap_or_default();
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
            let got = self.send(url, request).await?;
            if got.status == StatusCode::OK {
                return json_of(url, &got).map(Some);
            }
            if let Some(to) = got.to.filter(|_| got.status.is_redirection()) {
                let to: String = to.chars().take(200).collect();
                return Err(refused(format!(
                    "`{url}` leads on to `{to}`: redirects are not followed"
                )));
            }
        }
        Ok(None)
    }

    async fn send(&self, url: &Url, request: Request<Bytes>) -> Result<Got, OauthError> {
        let unreachable = |why: String| OauthError::Unreachable(format!("`{url}`: {why}"));
        let config = (self.config)();
        let own = Own::new(
            (self.gate.clone(), config),
            (url.scheme, url.endpoint.clone()),
            Secrets::None,
        );
        let asking = async {
            let response = own.send(request).await?;
            let status = response.status();
            let to = header(response.headers(), LOCATION.as_str()).map(str::to_owned);
            let body = response.into_body().whole(DOCUMENT_BYTES_MAX).await?;
            Ok(Got { status, to, body })
        };
        let got = timeout(Duration::from_secs(ANSWER_SECONDS_MAX), asking).await;
        let got =
            got.map_err(|_| unreachable(format!("no answer within {ANSWER_SECONDS_MAX} s")))?;
        own.close();
        got.map_err(unreachable)
    }
}

fn posted(url: &Url, kind: &'static str, body: String) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    // Checked when the address was read.
    *request.uri_mut() = url.target.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    request
}

/// What an answer says, whether it is a yes or a no; nothing of it is in the error.
fn json_of(url: &Url, got: &Got) -> Result<Value, OauthError> {
    if got.status.is_redirection() {
        return Err(refused(format!("`{url}` leads on elsewhere: redirects are not followed")));
    }
    let read: Option<Value> = serde_json::from_slice(&got.body).ok();
    let read = read.filter(Value::is_object);
    let is_told = read.as_ref().is_some_and(|it| it.get("error").is_some());
    match read {
        Some(document) if got.status.is_success() || is_told => Ok(document),
        Some(_) | None => {
            Err(refused(format!("`{url}` answers {} and nothing that could be used", got.status)))
        }
    }
}

/// Runs something to its end on this thread.
pub fn block_on<T>(task: impl Future<Output = T>) -> io::Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let done = runtime.block_on(task);
    runtime.shutdown_background();
    Ok(done)
}
