//! What a server says in place of an answer.

use std::time::Duration;

use hyper::header::LOCATION;
use hyper::{Response, StatusCode};
use tokio::time::timeout;

use super::super::super::oauth::told;
use super::{END_SECONDS_MAX, SAID_BYTES_MAX};
use crate::net::{Coming, header};

/// What a server said in place of an answer, for a person.
pub(super) async fn status(response: Response<Coming>) -> String {
    let status = response.status();
    if status.is_redirection() {
        let to = header(response.headers(), LOCATION.as_str()).unwrap_or("nowhere");
        let to = told(to);
        return format!("the server answers {status}, to `{to}`: redirects are not followed");
    }
    let login = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let about = if login { ", so it wants another login than it was given" } else { "" };
    let mut said = Vec::new();
    let mut body = response.into_body();
    let reading = async {
        while let Some(Ok(piece)) = body.next().await {
            said.extend_from_slice(&piece);
            if said.len() > SAID_BYTES_MAX {
                return;
            }
        }
    };
    let _ = timeout(Duration::from_secs(END_SECONDS_MAX), reading).await;
    said.truncate(SAID_BYTES_MAX);
    let said = String::from_utf8_lossy(&said);
    let said = told(said.trim());
    let colon = if said.is_empty() { "" } else { ": " };
    format!("the server answers {status}{about}{colon}{said}")
}
