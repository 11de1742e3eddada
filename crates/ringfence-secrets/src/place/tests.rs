//! What a place may be, and that an agent's choices never make it another one.

use proptest::prelude::*;

use super::*;

const VALUES: Values<'static> = Values {
    session: "s7f3abcdef",
    project: "shop",
    agent: "claude",
    host: "api.example.com",
    method: "GET",
};

fn filled(path: &str, values: &Values<'_>) -> Result<String, FillError> {
    path.parse::<Template>().unwrap().fill(values)
}

#[test]
fn a_place_is_written_as_it_is_read() {
    for text in [
        "age",
        "env:MODEL_KEY",
        "vault:kv/app/model#key",
        "vault:team/kv//app/model#api.key",
        "vault:kv/{project}/model#key",
        "vault-lease:database/creds/shop#password",
        "vault-lease:aws/sts/{project}#access_key",
        "vault-token:read-{project},log",
        "aws-sm:orders",
        "aws-sm:/prod/{project}/orders#key",
        "aws-sm:a@b#key@eu-west-1",
        "aws-sm:arn:aws:secretsmanager:us-gov-west-1:123456789012:secret:orders-a1B2c3#key",
    ] {
        let place: Backend = text.parse().unwrap();
        assert_eq!(place.to_string(), text);
        assert_eq!(place.is_open(), text.contains('{'), "{text}");
    }
}

#[test]
fn what_is_no_place_is_refused() {
    for text in [
        "",
        "vault",
        "vault:",
        "vault:kv#key",
        "vault:kv/app",
        "vault:kv/app#",
        "vault:kv/app#a b",
        "vault:kv/app#a#b",
        "vault:kv/../sys#key",
        "vault:kv/.#key",
        "vault:kv//#key",
        "vault:/kv/app#key",
        "vault:kv/app/#key",
        "vault:kv/a%2fb#key",
        "vault:kv/a?b#key",
        "vault:kv/a b#key",
        "vault:kv/{nothing}#key",
        "vault:kv/{host}{method}#key",
        "vault:kv/{host}-{host}#key",
        "vault-lease:#password",
        "vault-lease:database//creds#password",
        "vault-lease:database/creds/shop",
        "vault-token:",
        "vault-token:a,,b",
        "vault-token:a/b",
        "vault-token:{host}-{method}",
        "vaults:kv/app#key",
        "aws-sm:",
        "aws-sm:/",
        "aws-sm:a//b",
        "aws-sm:a#",
        "aws-sm:a b",
        "aws-sm:a%b",
    ] {
        assert!(text.parse::<Backend>().is_err(), "{text}");
    }
    assert!(format!("vault:kv/{}#key", "a".repeat(2000)).parse::<Backend>().is_err());
}

#[test]
fn placeholders_are_what_was_decided() {
    assert_eq!(filled("a/{session}/b", &VALUES).unwrap(), "a/s7f3abcdef/b");
    assert_eq!(filled("r-{project}-x/{method}", &VALUES).unwrap(), "r-shop-x/GET");
    assert_eq!(filled("{host}/{agent}", &VALUES).unwrap(), "api.example.com/claude");
    assert_eq!(filled("a/b", &VALUES).unwrap(), "a/b");
    let policies: Policies = "a-{project},b".parse().unwrap();
    assert_eq!(policies.fill(&VALUES).unwrap(), ["a-shop", "b"]);
}

#[test]
fn what_an_agent_chooses_cannot_leave_its_place() {
    for odd in [
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "../../sys/raw",
        "a%2fb",
        "a?b",
        "a#b",
        "a b",
        "::1",
        "a\\b",
        "a\r\nb",
        "a\0b",
        "{session}",
        "ä",
        "a,b",
    ] {
        for values in [Values { host: odd, ..VALUES }, Values { method: odd, ..VALUES }] {
            assert!(filled("creds/{host}/{method}", &values).is_err(), "{odd:?}");
            // As a part of a segment it is no better.
            assert!(filled("creds/r-{host}-x/{method}y", &values).is_err(), "{odd:?}");
        }
    }
    let long = "a".repeat(129);
    assert!(filled("{host}", &Values { host: &long, ..VALUES }).is_err());
}

proptest! {
    /// One segment stays one segment, and two uses come to one path only if they are alike in all
    /// that the path speaks of.
    #[test]
    fn different_uses_come_to_different_paths(
        one in "[-_.A-Za-z0-9/%]{1,6}", other in "[-_.A-Za-z0-9/%]{1,6}",
        method in "[A-Z-]{1,4}", another in "[A-Z-]{1,4}",
    ) {
        let path = "creds/r-{host}-x/{method}-y";
        let first = filled(path, &Values { host: &one, method: &method, ..VALUES });
        let second = filled(path, &Values { host: &other, method: &another, ..VALUES });
        if let (Ok(first), Ok(second)) = (first, second) {
            prop_assert_eq!(first.split('/').count(), 3);
            prop_assert!(!first.split('/').any(|part| part == "." || part == ".."));
            prop_assert_eq!(first == second, one == other && method == another);
        }
    }
}
