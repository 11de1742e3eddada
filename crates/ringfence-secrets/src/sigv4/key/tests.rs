use super::*;

#[test]
fn a_key_is_read_in_the_forms_that_it_is_had_in() {
    let whole = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY:token/+=12";
    let (id, rest) = whole.split_once(':').unwrap();
    let (secret, token) = rest.split_once(':').unwrap();
    for text in [
        format!("{whole}\n"),
        format!(
            "{{\"Version\": 1, \"AccessKeyId\": \"{id}\", \"SecretAccessKey\": \"{secret}\", \
             \"SessionToken\": \"{token}\", \"Expiration\": \"2026-01-01T00:00:00Z\"}}"
        ),
        format!(
            "{{\"Credentials\": {{\"AccessKeyId\": \"{id}\", \"SecretAccessKey\": \"{secret}\", \
             \"SessionToken\": \"{token}\"}}}}"
        ),
        format!(
            "{{\"access_key\":\"{id}\",\"secret_key\":\"{secret}\",\"security_token\":\"{token}\"}}"
        ),
        format!(
            "[default]\naws_access_key_id = {id}\naws_secret_access_key={secret}\n\
             aws_session_token = {token}\nregion = eu-west-1\n"
        ),
        format!(
            "export AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={secret}\n\
             export AWS_SESSION_TOKEN={token}\n"
        ),
    ] {
        assert_eq!(*Key::parse(&text).unwrap().dangerous_text(), whole, "{text}");
    }
    let without = Key::parse(&format!("{id}:{secret}")).unwrap();
    assert!(without.token().is_none() && *without.dangerous_text() == format!("{id}:{secret}"));
    // A vault says so where there is none.
    let null =
        format!("{{\"access_key\":\"{id}\",\"secret_key\":\"{secret}\",\"security_token\":null}}");
    assert!(Key::parse(&null).unwrap().token().is_none());
}

#[test]
fn what_is_no_key_is_refused_without_being_quoted() {
    let (id, secret) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENG");
    for (text, why) in [
        (String::new(), KeyError::Form),
        (id.to_owned(), KeyError::Form),
        (format!("{id}:{secret}:token0000:more"), KeyError::Form),
        ("{".to_owned(), KeyError::Form),
        (format!("{{\"AccessKeyId\":\"{id}\"}}"), KeyError::Form),
        (format!("[a]\naws_access_key_id={id}\n"), KeyError::Form),
        (
            format!("[a]\naws_access_key_id={id}\naws_secret_access_key={secret}\n[b]\n"),
            KeyError::Profiles,
        ),
        (format!("aws_access_key_id={id}\naws_access_key_id={id}\n"), KeyError::Profiles),
        (format!("AK/A:{secret}"), KeyError::Part("access key id")),
        (format!("AKIA 00000000:{secret}"), KeyError::Part("access key id")),
        (format!("{id}:short"), KeyError::Part("secret access key")),
        (format!("{id}:{secret}\r\nx: y"), KeyError::Part("secret access key")),
        (format!("{id}:{secret}:a"), KeyError::Part("session token")),
    ] {
        assert_eq!(Key::parse(&text).err(), Some(why), "{text}");
        assert!(!why.to_string().contains(secret));
    }
}
