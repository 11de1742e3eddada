//! Which keys, which region, which endpoint, and what failures mean.

use ringfence_testkit::gate::VirtualClock;

use super::*;

const ARN: &str = "arn:aws:secretsmanager:us-west-2:123456789012:secret:orders-a1B2c3";

fn stage(variables: &[(&str, &str)]) -> (SecretsManager, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(home.path().join(".aws").join(name), text).unwrap();
    };
    write(
        "credentials",
        "[default]\naws_access_key_id = AKIADEFAULTDEFAULT\naws_secret_access_key=default/secret\n\
         [work]\naws_access_key_id=ASIAWORKWORKWORK\naws_secret_access_key=work+secret=\n\
         aws_session_token=work/token\n[half]\naws_access_key_id=AKIAHALFHALFHALF\n",
    );
    write(
        "config",
        "[default]\nregion=eu-west-1\n[profile work]\ns3 =\n  region = xx-nested-9\nregion = eu-north-1\n",
    );
    let variable = |name: &str| {
        variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned())
    };
    let clock = Arc::new(VirtualClock::default());
    let made = SecretsManager::of_environment(&variable, home.path(), (&WayOut::default(), clock));
    (made, home)
}

#[test]
fn keys_are_those_of_the_environment_or_of_the_profile() {
    for (variables, expected) in [
        (&[][..], Some("AKIADEFAULTDEFAULT:default/secret")),
        (&[("AWS_PROFILE", "work")], Some("ASIAWORKWORKWORK:work+secret=:work/token")),
        (&[("AWS_PROFILE", "half")], None),
        (&[("AWS_PROFILE", "none")], None),
        (&[("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")], None),
        (
            &[("AWS_ACCESS_KEY_ID", "AKIAOFVARIABLES"), ("AWS_SECRET_ACCESS_KEY", "a/secret")],
            Some("AKIAOFVARIABLES:a/secret"),
        ),
    ] {
        let (made, _home) = stage(variables);
        let found = made.key().ok().map(|key| key.dangerous_text().to_string());
        assert_eq!(found.as_deref(), expected, "{variables:?}");
    }
    let (made, _home) = stage(&[("AWS_PROFILE", "none")]);
    let said = made.key().err().unwrap().to_string();
    assert!(said.contains("$AWS_ACCESS_KEY_ID") && said.contains("profile `none`"), "{said}");
}

#[test]
fn a_region_is_that_of_the_place_then_of_the_arn_then_of_the_environment() {
    for (variables, id, named, expected) in [
        (&[][..], ARN, Some("eu-central-1"), "eu-central-1"),
        (&[], ARN, None, "us-west-2"),
        (
            &[("AWS_REGION", "ap-south-1"), ("AWS_DEFAULT_REGION", "x")],
            "orders",
            None,
            "ap-south-1",
        ),
        (&[("AWS_DEFAULT_REGION", "us-gov-west-1")], "orders", None, "us-gov-west-1"),
        (&[], "orders", None, "eu-west-1"),
        (&[("AWS_PROFILE", "work")], "orders", None, "eu-north-1"),
    ] {
        assert_eq!(stage(variables).0.region(id, named).unwrap(), expected);
    }
    let nowhere = stage(&[("AWS_PROFILE", "none")]).0.region("orders", None);
    assert_eq!(nowhere, Err(SecretsManagerError::NoRegion));
    // It becomes a part of a host's name.
    for odd in ["evil.example/x", "eu-west-1.evil.example", "eu", "eu-1", "", "-1", "EU-WEST-1"] {
        let said = stage(&[]).0.region("orders", Some(odd));
        assert_eq!(said, Err(SecretsManagerError::Region(odd.to_owned())));
    }
}

#[test]
fn it_is_asked_where_aws_is_unless_somebody_says_otherwise() {
    let at = |variables: &[(&str, &str)], region: &str| {
        stage(variables).0.address(region).map(|it| it.to_string()).map_err(|it| it.to_string())
    };
    let usual = at(&[], "eu-west-1").unwrap();
    assert_eq!(usual, "https://secretsmanager.eu-west-1.amazonaws.com");
    let chinese = at(&[], "cn-north-1").unwrap();
    assert_eq!(chinese, "https://secretsmanager.cn-north-1.amazonaws.com.cn");
    let all = ("AWS_ENDPOINT_URL", "https://all.example");
    let own = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:5000/");
    assert_eq!(at(&[all], "eu-west-1").unwrap(), "https://all.example");
    assert_eq!(at(&[all, own], "eu-west-1").unwrap(), "http://127.0.0.1:5000");
    let said = at(&[("AWS_ENDPOINT_URL", "http://all.example")], "eu-west-1").unwrap_err();
    assert!(said.contains("without TLS"), "{said}");
}

#[test]
fn a_failure_says_what_to_do_and_quotes_nothing() {
    let at: Endpoint = "aws.example:443".parse().unwrap();
    for (status, body, expected) in [
        (400, r#"{"__type":"ResourceNotFoundException"}"#, "has no secret `orders` in eu-west-1"),
        (400, r#"{"__type":"a.b#AccessDeniedException","message":"x"}"#, "no permission"),
        (400, r#"{"__type":"ExpiredTokenException"}"#, "does not know the keys"),
        (403, "<Error>AKIAQUOTED</Error>", "does not know the keys"),
        (500, r#"{"__type":"InternalServiceError","message":"AKIAQUOTED"}"#, "status 500"),
        (418, "", "status 418"),
    ] {
        let answer = Answer { status, body: Zeroizing::new(body.as_bytes().to_vec()) };
        let said = refused(&answer, &at, ("orders", "eu-west-1".to_owned())).to_string();
        assert!(said.contains(expected) && !said.contains("QUOTED"), "{said}");
    }
}

#[test]
fn a_moment_is_written_as_signatures_name_it() {
    assert_eq!(timestamp(1_767_225_600_000), "20260101T000000Z");
}
