//! Which values are told for secrets, and what is covered of texts.

use super::super::covered::{covered, covered_words};
use super::*;

/// Nobody's.
fn key() -> String {
    ["q7Zt", "2LmX9", "vB4nR8", "sK1pWd3"].concat()
}

#[test]
fn names_tell_secrets_of_the_web_from_others_and_from_what_is_about_them() {
    for (name, is) in [
        ("PGPASSWORD", Some(Looks::Bare(OVER_OTHERS))),
        ("MYSQL_PWD", Some(Looks::Bare(OVER_OTHERS))),
        ("DB_PASS", Some(Looks::Bare(OVER_OTHERS))),
        ("REDISCLI_AUTH", Some(Looks::Bare(OVER_OTHERS))),
        ("smtpPassword", Some(Looks::Bare(OVER_OTHERS))),
        ("GITHUB_TOKEN", Some(Looks::Credential)),
        ("exaApiKey", Some(Looks::Credential)),
        ("OPENAIAPIKEY", Some(Looks::Credential)),
        ("SENTRY_DSN", Some(Looks::Credential)),
        ("PASSWORD", Some(Looks::Credential)),
        ("PWD", None),
        ("TOKEN_FILE", None),
        ("MAX_TOKENS", None),
        ("SSH_AUTH_SOCK", None),
        ("CLIENT_ID", None),
        ("KEYBOARD", None),
        ("PATH", None),
        ("DATABASE_URL", None),
    ] {
        assert_eq!(named(name), is, "{name}");
    }
}

#[test]
fn forms_tell_what_names_do_not() {
    let key = key();
    let odd = format!("https://a.example/s/{key}/mcp");
    let pem = format!("-----BEGIN PRIVATE {}-----\nx", "KEY");
    for (name, value, is) in [
        ("DATABASE_URL", "postgres://ada:pw@db.example/x", Looks::Bare(IN_ADDRESS)),
        ("DATABASE_URL", "postgres://ada:p/w@db.example/x", Looks::Bare(IN_ADDRESS)),
        ("REDIS", "rediss://:pw@db.example:6379", Looks::Bare(IN_ADDRESS)),
        ("HOSTS", "http://a.example,http://u:pw@b.example", Looks::Bare(IN_ADDRESS)),
        ("X", "host=db user=ada password=pw", Looks::Bare(IN_ADDRESS)),
        ("X", "Endpoint=sb://a.example/;SharedAccessKey=pw", Looks::Bare(IN_ADDRESS)),
        ("JDBC", "jdbc:postgresql://db.example/x?user=a&password=pw", Looks::Bare(IN_ADDRESS)),
        ("HOOK", odd.as_str(), Looks::Bare(ODD_PART)),
        ("X", pem.as_str(), Looks::Bare(SIGNS)),
        ("WORKSPACE", key.as_str(), Looks::Unsure),
        ("X", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", Looks::Unsure),
        ("USE_AUTH", "true", Looks::Plain),
        ("SSH_KEY", "/home/ada/.ssh/id", Looks::Plain),
        ("DATABASE_URL", "postgres://db.example:5432/x", Looks::Plain),
        ("DATABASE_URL", "sqlite:///data/a.db", Looks::Plain),
        ("REMOTE", "ssh://git@github.com/a/b", Looks::Plain),
        ("MODEL", "claude-3-5-sonnet-20241022", Looks::Plain),
        ("NAME", "GetUserByNameAndPlace", Looks::Plain),
        ("NODE", "/home/ada/.nvm/versions/node/v20.11.1/bin/node", Looks::Plain),
        ("ACCOUNT", "123456789012345678", Looks::Plain),
        ("TOKEN", "${input:token}", Looks::Plain),
        ("TOKEN", "", Looks::Plain),
    ] {
        assert_eq!(looks(name, value), is, "{name}={value}");
    }
    assert_eq!(word_looks("", "--api-key=abc"), Looks::Credential);
    assert_eq!(word_looks("api-key", "abc"), Looks::Credential);
    assert_eq!(word_looks("e", "GITHUB_TOKEN=abc"), Looks::Credential);
    assert_eq!(word_looks("header", "Authorization: Bearer abc"), Looks::Credential);
    assert_eq!(word_looks("e", "GITHUB_TOKEN"), Looks::Plain);
    assert_eq!(word_looks("", "@scope/package@1.2.3"), Looks::Plain);
    assert_eq!(word_looks("", "https://a.example:8080/@org/mcp"), Looks::Plain);
}

#[test]
fn what_is_shown_of_a_file_has_none_of_its_secrets_wherever_they_stand() {
    let key = key();
    let text = format!(
        "{{\"oauth\": {{\"refreshToken\": \"abc\", \"account\": \"ada\"}},\n// \"old\": \"{key}\" don't\n\
         \"args\": [\"--token\",\n  \"abc\", \"-v\", \"--password=abc\"],\n\"password\": 12345,\n\
         \"db\": \"postgres://u:abc@h/x\", \"approved\": [\"{key}\"], \"model\": \"opus\", \"n\": 3}}\n"
    );
    let shown = covered(&text);
    for gone in ["abc", key.as_str(), "12345"] {
        assert!(!shown.contains(gone), "{gone}: {shown}");
    }
    for stays in
        ["\"model\": \"opus\"", "\"n\": 3", "refreshToken", "\"account\": \"ada\"", "-v", "don't"]
    {
        assert!(shown.contains(stays), "{stays}: {shown}");
    }
    let toml = format!(
        "# key {key}\nmodel = \"o\"\nexperimental_bearer_token = 'abc'\n[env]\nA = \"1\"\nMYSQL_PWD = \"abc\"\n\
         note = \"\"\"\n{key}\n\"\"\"\nretries = 12345678\npin_token = 778899\n"
    );
    let shown = covered(&toml);
    assert!(
        !shown.contains("abc") && !shown.contains(&key) && !shown.contains("778899"),
        "{shown}"
    );
    for stays in ["model = \"o\"", "A = \"1\"", "retries = 12345678"] {
        assert!(shown.contains(stays), "{stays}: {shown}");
    }
    let words =
        ["x", "--api-key", "abc", "https://a.example/?api_key=abc&a=b", "-e", "A_TOKEN=abc"];
    let words = covered_words(&words.map(str::to_owned)).join(" ");
    assert_eq!(
        words,
        "x --api-key [secret] https://a.example/?api_key=[secret]&a=b -e A_TOKEN=[secret]"
    );
}
