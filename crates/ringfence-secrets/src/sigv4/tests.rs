use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};
use serde_json::Value;

use super::*;
use crate::sigv4::claim::Claim;

/// AWS's own cases; see the file beside them.
pub(super) fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../tests/aws-sigv4/vectors.json")).unwrap()
}

/// A request as it is written; `None` for targets that HTTP does not allow.
pub(super) fn parsed(text: &str, target: Option<&str>) -> Option<(Parts, String)> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let unfolded = head.replace("\n  ", " ");
    let mut lines = unfolded.lines();
    let first = lines.next().unwrap();
    let (method, rest) = first.split_once(' ').unwrap();
    let target = target.unwrap_or(rest.strip_suffix(" HTTP/1.1").unwrap_or(rest));
    let uri: http::Uri = target.parse().ok()?;
    let request = Request::builder().method(method).uri(uri).body(()).unwrap();
    let (mut parts, ()) = request.into_parts();
    for line in lines.filter(|it| !it.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        parts.headers.append(name, HeaderValue::from_str(value.trim()).unwrap());
    }
    Some((parts, body.to_owned()))
}

pub(super) fn vector_key(case: &Value) -> Key {
    let of = |name: &str| case["context"]["credentials"][name].as_str();
    Key::new(of("access_key_id").unwrap(), of("secret_access_key").unwrap(), None).unwrap()
}

/// A request in either of its forms comes to the text and the signature that AWS says.
fn check(case: &Value, way: &str) {
    let name = &case["name"];
    let text = |what: &str| case[format!("{way}-{what}")].as_str();
    let (Some(signed), Some(expected)) = (text("signed-request"), text("canonical-request")) else {
        return;
    };
    let target = signed.lines().next().unwrap();
    let target = target.split_once(' ').unwrap().1;
    let target = target.strip_suffix(" HTTP/1.1").unwrap_or(target);
    let (sent_path, sent_query) = target.split_once('?').unwrap_or((target, ""));
    let (head, body) = parsed(signed, Some("/")).unwrap();
    let expected_lines: Vec<&str> = expected.lines().collect();
    let names = expected_lines[expected_lines.len() - 2];
    let names: Vec<String> = names.split(';').map(str::to_owned).collect();
    let form = match case["context"]["normalize"].as_bool() {
        Some(true) => PathForm::Normalized,
        Some(false) | None => PathForm::Encoded,
    };
    let sent_query: Vec<&str> = sent_query
        .split('&')
        .filter(|it| !it.starts_with("X-Amz-Signature="))
        // A token that is added when all is signed.
        .filter(|it| {
            expected.contains("X-Amz-Security-Token") || !it.starts_with("X-Amz-Security-Token=")
        })
        .collect();
    let host = head.headers["host"].to_str().unwrap();
    let payload = digest(body.trim_end_matches('\n').as_bytes());
    let made = Signed {
        method: head.method.as_str(),
        path: path(sent_path, form),
        query: query(&sent_query.join("&")),
        headers: headers(&head, host, &names).unwrap(),
        payload: &payload,
    };
    let context = &case["context"];
    if context.is_null() {
        // Their date differs from that of their request: they are about the path.
        assert_eq!(Some(made.path.as_str()), expected.lines().nth(1), "{name} {way}");
        return;
    }
    assert_eq!(made.canonical(), expected, "{name} {way}");
    let timestamp = context["timestamp"].as_str().unwrap().replace(['-', ':'], "");
    let word = |what: &str| context[what].as_str().unwrap();
    let scope = Scope::new(&timestamp, word("region"), word("service")).unwrap();
    let key = SigningKey::new(vector_key(case).secret(), &scope);
    let to_sign = string_to_sign(expected, &timestamp, &scope);
    assert_eq!(Some(key.sign(&to_sign).as_str()), text("signature").map(str::trim), "{name} {way}");
    assert!(key.verifies(&to_sign, text("signature").unwrap().trim()), "{name} {way}");
}

#[test]
fn all_vectors_of_aws_come_out_as_aws_says() {
    let all = vectors();
    assert_eq!(all.len(), 40);
    for case in &all {
        check(case, "header");
        check(case, "query");
    }
}

#[test]
fn a_request_of_our_own_is_one_that_is_believed() {
    let key = Key::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None).unwrap();
    let body = b"{\"SecretId\":\"db\"}";
    let request = Request::builder()
        .method("POST")
        .uri("https://secretsmanager.eu-west-1.amazonaws.com/")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "secretsmanager.GetSecretValue");
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    let host = "secretsmanager.eu-west-1.amazonaws.com";
    let (timestamp, payload) = ("20150830T123600Z", digest(body));
    sign(&mut head, (host, &payload), ("eu-west-1", "secretsmanager"), (&key, timestamp)).unwrap();
    let claim = Claim::of(&head).unwrap().unwrap();
    assert!(claim.wants_body());
    claim.verify(&head, host, (&key, Some(&payload))).unwrap();
}

#[test]
fn what_is_no_moment_or_no_name_is_no_scope() {
    for (moment, region) in [
        ("20150830", "eu-west-1"),
        ("20150830T1236Z", "eu-west-1"),
        ("2015083xT123600Z", "eu-west-1"),
        ("20150830T123600Z", ""),
        ("20150830T123600Z", "eu/west"),
        ("20150830T123600Z", "eu\nwest"),
    ] {
        assert!(Scope::new(moment, region, "s3").is_err(), "{moment} {region}");
    }
}

#[test]
fn nothing_of_a_key_is_in_debug_output() {
    let key = Key::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None).unwrap();
    let scope = Scope::new("20150830T123600Z", "r", "s").unwrap();
    assert_eq!(format!("{key:?} {:?}", SigningKey::new(key.secret(), &scope)), "Key SigningKey");
}
