//! What has no form of its own: told, and never a reason to take anything out.

use super::{Check, Rule, named, token};

pub(super) const RULES: &[Rule] = &[
    named(
        "generic-password",
        "Something behind the name of a password",
        &["password", "passwd", "passphrase"],
        r#"(?i:password|passwd|passphrase)["']?\s{0,5}(?:=|:|:=|=>)\s{0,5}["'`](?P<v>[^\s"'`]{8,120})["'`]"#,
    )
    .check(Check::Password)
    .noisy(),
    named(
        "generic-key",
        "Something behind the name of a key, a token or a secret",
        &["api_key", "apikey", "api-key", "secret", "token", "access_key", "private_key", "credential"],
        r#"(?i:api[_-]?key|secret|token|access_key|private_key|credential)[0-9A-Za-z_.-]{0,20}["']?\s{0,5}(?:=|:|:=|=>)\s{0,5}["'`]?(?P<v>[0-9A-Za-z_+/=.~-]{16,200})"#,
    )
    .check(Check::Entropy(37))
    .noisy(),
    named(
        "bearer-token",
        "A token in a header of HTTP",
        &["authorization", "bearer "],
        r#"(?i:authorization["']?\s{0,3}[:=]\s{0,3}["']?)?(?i:bearer|token) (?P<v>[0-9A-Za-z_+/=.~-]{20,})"#,
    )
    .check(Check::Entropy(35))
    .reach(2200),
    named(
        "basic-auth",
        "A login in a header of HTTP",
        &["authorization: basic ", "authorization\": \"basic "],
        r#"(?i:authorization"?: "?basic) (?P<v>[0-9A-Za-z+/]{8,}={0,2})"#,
    )
    .check(Check::Entropy(28)),
    token(
        "curl-login",
        "A login on the command line of curl",
        &["curl "],
        r#"curl [^\n|;&]{0,}?(?:-u|--user)[ =]["']?[0-9A-Za-z._@-]{1,64}:(?P<v>[^\s"']{6,100})"#,
    )
    .check(Check::Password)
    .noisy(),
    token(
        "netrc-login",
        "A login in `.netrc`",
        &["machine "],
        r"machine [^\s]{1,}\s{1,8}login [^\s]{1,100}\s{1,8}password (?P<v>[^\s]{4,200})",
    )
    .check(Check::Password)
    .likely(),
    token(
        "docker-config-auth",
        "A login in the configuration of Docker",
        &["\"auth\""],
        r#""auth"\s{0,4}:\s{0,4}"(?P<v>[0-9A-Za-z+/]{12,}={0,2})""#,
    )
    .anywhere()
    .likely()
    .check(Check::Entropy(30)),
    token(
        "git-credentials-helper",
        "A login as git's helpers pass it on",
        &["username="],
        r"username=[^\s]{1,100}\npassword=(?P<v>[^\s]{4,200})",
    )
    .check(Check::Password)
    .likely(),
    token(
        "set-cookie-session",
        "A session in a cookie",
        &["Set-Cookie: ", "set-cookie: "],
        r"[Ss]et-[Cc]ookie: [0-9A-Za-z_.-]{0,40}(?i:sess|auth|token|sid)[0-9A-Za-z_.-]{0,40}=(?P<v>[0-9A-Za-z%_+/=.~-]{16,})",
    )
    .check(Check::Entropy(33))
    .likely(),
    token(
        "hex-secret-64",
        "A seed or key of 32 bytes behind its name",
        &["seed", "SEED", "encryption_key", "ENCRYPTION_KEY", "master_key", "MASTER_KEY", "signing_key", "SIGNING_KEY"],
        r#"(?i:seed|(?:encryption|master|signing)_key)["']?\s{0,5}[=:]\s{0,5}["']?(?P<v>[0-9a-fA-F]{64})"#,
    )
    .anywhere()
    .check(Check::Entropy(32))
    .likely(),
];
