//! Keys as files have them, and logins in addresses.

use super::{Before, Check, REACH_KEY, Rule, token};

pub(super) const RULES: &[Rule] = &[
    // RFC 7468 and RFC 4880: also with its ends of line written as `\n`, and with what is before them on a line. A key
    // that does not end here, or is longer than anything is looked at, is one as far as it goes.
    token(
        "private-key",
        "Private key (PEM: RSA, EC, DSA, PKCS #8, OpenSSH, PGP)",
        &["-----BEGIN "],
        r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
    )
    .anywhere()
    .check(Check::Pem),
    token("putty-key", "Private key (PuTTY)", &["PuTTY-User-Key-File-"], r"PuTTY-User-Key-File-[0-9]:(?s:.)*?Private-Lines: [0-9]+(?:\r?\n[0-9A-Za-z+/=]+)+").reach(REACH_KEY),
    token("age-key", "age secret key", &["AGE-SECRET-KEY-"], r"AGE-SECRET-KEY-(?:PQ-)?1[02-9AC-HJ-NP-Z]{58,200}"),
    token("minisign-key", "minisign or signify secret key", &["RWRTY0I"], r"RWRTY0I[0-9A-Za-z+/]{200,213}={0,2}"),
    token("nostr-key", "Nostr secret key", &["nsec1"], r"nsec1[02-9ac-hj-np-z]{58}"),
    token("bitcoin-extended-key", "Extended private key (BIP 32)", &["xprv9", "tprv8", "zprvA", "yprvA"], r"(?:xprv9|tprv8|zprvA|yprvA)[1-9A-HJ-NP-Za-km-z]{105,107}"),
    token("wireguard-key", "WireGuard private key", &["PrivateKey = ", "PresharedKey = ", "PrivateKey=", "PresharedKey="], r"(?:PrivateKey|PresharedKey) ?= ?(?P<v>[0-9A-Za-z+/]{42}[AEIMQUYcgkosw048]=)"),
    token("jwk-private", "Private part of a JSON web key", &[r#""kty""#], r#""kty"\s{0,4}:\s{0,4}"(?:RSA|EC|OKP|oct)"(?:[^{}]*?)"(?:d|k)"\s{0,4}:\s{0,4}"(?P<v>[0-9A-Za-z_-]{20,})""#).anywhere().reach(4000),
    token("jwt", "JSON web token", &["eyJ"], r"eyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{4,}\.[0-9A-Za-z_-]{10,}").check(Check::Jwt).reach(REACH_KEY),
    token("kubernetes-bootstrap-token", "Kubernetes bootstrap token behind its name", &["--token "], r"--token (?P<v>[0-9a-z]{6}\.[0-9a-z]{16})").anywhere(),
    token("ansible-vault", "Ansible vault", &["$ANSIBLE_VAULT;"], r"\$ANSIBLE_VAULT;1\.[12];AES256(?:;[0-9A-Za-z_-]+)?(?:\s+[0-9a-f]{60,82})+").noisy().reach(REACH_KEY),
    token("unix-password-hash", "Hash of a password, as in /etc/shadow", &["$6$", "$5$", "$y$", "$2b$", "$2y$", "$2a$", "$1$", "$argon2id$"], r"\$(?:6|5)\$(?:rounds=[0-9]+\$)?[0-9A-Za-z./]{1,16}\$[0-9A-Za-z./]{43,86}|\$y\$[0-9A-Za-z./]{1,6}\$[0-9A-Za-z./]{8,32}\$[0-9A-Za-z./]{43}|\$2[aby]\$[0-9]{2}\$[0-9A-Za-z./]{53}|\$1\$[0-9A-Za-z./]{1,8}\$[0-9A-Za-z./]{22}|\$argon2id\$v=[0-9]+\$[mtp=,0-9]+\$[0-9A-Za-z+/]{11,64}\$[0-9A-Za-z+/]{22,86}").anywhere().likely(),
    Rule {
        id: "database-url",
        what: "Address of a database or queue with its password",
        words: &[
            "postgres://", "postgresql://", "mysql://", "mariadb://", "mongodb://", "mongodb+srv://", "redis://",
            "rediss://", "amqp://", "amqps://", "mssql://", "sqlserver://", "clickhouse://", "nats://", "ldap://",
            "ldaps://", "smtp://", "smtps://", "ftp://", "sftp://", "ssh://", "cockroachdb://",
        ],
        pattern: r#"[a-z+]{3,14}://[^\s:@/"'<>]{0,100}:(?P<v>[^\s@/"'<>]{3,200})@[0-9A-Za-z.\[\]:_-]{1,}"#,
        check: Check::Password,
        before: Before::Anything,
        ..token("", "", &[], "").likely().needs(b'@')
    },
    token("jdbc-password", "Password in the address of a database (JDBC, ADO)", &["Password=", "password=", "Pwd=", "pwd="], r#"(?:Password|password|Pwd|pwd)=(?P<v>[^\s;&"'<>{}$]{6,100});"#).check(Check::Password).likely(),
];
