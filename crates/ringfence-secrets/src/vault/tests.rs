//! Values, leases and tokens of a vault, asked as a session asks. The vault is a double of the
//! documented API.

use std::sync::{Arc, Mutex};

use ringfence_core::{LeaseChange, LeaseStep};
use ringfence_testkit::gate::VirtualClock;
use ringfence_testkit::vault::{LeaseIs, Mood, ROOT, VaultDouble};
use serde_json::json;

use super::*;
use crate::backend::{Backends, Sources};
use crate::binding::{Binding, Slot};
use crate::held::{Fetch as _, Fetched, Occasion};
use crate::sentinel::Shape;
use crate::store::Store;

const LONG: Duration = Duration::from_hours(1);

type Given = fn(&VaultDouble) -> Vec<(&'static str, String)>;

struct Stage {
    double: VaultDouble,
    home: tempfile::TempDir,
    backends: Backends,
    told: Arc<Mutex<Vec<LeaseChange>>>,
}

fn stage() -> Stage {
    stage_with(|double| vec![("VAULT_ADDR", double.url()), ("VAULT_TOKEN", ROOT.to_owned())])
}

fn stage_with(variables: impl Fn(&VaultDouble) -> Vec<(&'static str, String)>) -> Stage {
    let double = VaultDouble::start();
    double.keep("kv/app/model", json!({ "key": "value-of-the-key", "other": "another-value" }));
    double.keep("team/kv/app", json!({ "key": "value-of-the-team" }));
    double.keep("kv/gone", json!(null));
    double.keep("kv/odd", json!({ "number": 12_345_678, "short": "abc", "lines": "two\nlines" }));
    double.lend_at("database/creds/shop", LONG, LONG);
    let home = tempfile::tempdir().unwrap();
    let variables = variables(&double);
    let variable =
        |name: &str| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| value.clone());
    let sources = Sources {
        store: Store::at(home.path().join("secrets")),
        variable: &variable,
        home: home.path(),
        way_out: WayOut::default(),
        session: "s7f3abcdef",
        project: std::path::Path::new("/home/me/shop"),
        clock: Arc::new(VirtualClock::default()),
    };
    let backends = Backends::new(sources, &[]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let same = Arc::clone(&told);
    backends.record_with(Box::new(move |change| same.lock().unwrap().push(change)));
    Stage { double, home, backends, told }
}

impl Stage {
    fn get(&self, place: &str) -> Result<String, String> {
        self.get_for(place, None, "api.example.com")
    }

    fn get_for(&self, place: &str, ttl: Option<u32>, host: &str) -> Result<String, String> {
        let binding = Binding {
            name: "model".parse().unwrap(),
            hosts: Vec::new(),
            methods: Vec::new(),
            paths: Vec::new(),
            slots: vec![Slot::Basic],
            deliver: Vec::new(),
            shape: Shape::unknown(),
            backend: place.to_owned(),
            ttl_seconds: ttl,
        };
        let on = Occasion { agent: "claude", host, method: "GET" };
        match self.backends.fetch(&binding, &on) {
            Ok(Fetched::Lent(value)) => Ok(value.dangerous_reveal().to_owned()),
            Ok(Fetched::Fixed(_)) => panic!("a vault's value is asked for again"),
            Err(error) => {
                let said = format!("{error} {error:?}");
                assert!(!said.contains(ROOT) && !said.contains("value-of"), "{said}");
                Err(error.why.replace(&self.double.url().replace("http://", ""), "AT"))
            }
        }
    }

    fn steps(&self) -> Vec<LeaseStep> {
        self.told.lock().unwrap().iter().map(|change| change.step.clone()).collect()
    }

    fn is(&self) -> Vec<LeaseIs> {
        self.double.leases().into_iter().map(|(_, is)| is).collect()
    }

    /// Waits until the vault's leases are as they should be.
    fn wait_until(&self, expected: &[LeaseIs]) {
        for _ in 0..200 {
            if self.is() == expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{:?}, not {expected:?}; asked: {:?}", self.is(), self.double.asked());
    }
}

#[test]
fn an_entry_is_read_once_and_has_several_values() {
    let stage = stage();
    assert_eq!(stage.get("vault:kv/app/model#key").unwrap(), "value-of-the-key");
    assert_eq!(stage.get("vault:kv/app/model#other").unwrap(), "another-value");
    assert_eq!(stage.get("vault:kv/app/model#key").unwrap(), "value-of-the-key");
    assert_eq!(stage.double.asked(), ["GET /v1/kv/data/app/model"]);
    assert_eq!(stage.get("vault:team/kv//app#key").unwrap(), "value-of-the-team");
    assert_eq!(stage.double.asked(), ["GET /v1/team/kv/data/app"]);
    assert_eq!(stage.backends.end(), []);
    assert_eq!(stage.double.asked(), [""; 0]);
    assert_eq!(stage.get("vault:kv/app/model#key").unwrap_err(), "the session has ended");
}

#[test]
fn what_is_wrong_is_said_so_that_somebody_can_act() {
    let stage = stage();
    for (place, why) in [
        ("vault:kv/nothing#key", "the vault AT has nothing at `kv/data/nothing`"),
        ("vault:kv/gone#key", "the vault AT has nothing at `kv/data/gone`"),
        ("vault:kv/app/model#wrong", "the vault AT has no text `wrong` in `vault:kv//app/model`"),
        ("vault:kv/odd#number", "the vault AT has no text `number` in `vault:kv//odd`"),
        ("vault:kv/odd#short", "a secret has at least 8 bytes"),
        ("vault:kv/odd#lines", "a secret is one line"),
        ("vault-lease:kv/data/app/model#key", "`kv/data/app/model` of the vault is not lent"),
        ("vault-lease:database/creds/other#password", "has nothing at `database/creds/other`"),
    ] {
        let said = stage.get(place).unwrap_err();
        assert!(said.contains(why), "{place}: {said}");
    }
    let odd = [
        (Mood::Sealed, "the vault AT is sealed, or not in service"),
        (Mood::Says("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"), "with status 500"),
        (Mood::Says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n12"), "is not understood"),
        (Mood::Says("value-of-something\r\n\r\n"), "is not understood"),
        (
            Mood::Says(
                "HTTP/1.1 200 OK\r\ncontent-length: 34\r\n\r\n{\"data\":{\"data\":\"value-of-a-key\"}}",
            ),
            "is not understood",
        ),
        (
            Mood::Says(
                "HTTP/1.1 307 Go\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n",
            ),
            "sends to another address, which is not followed: evil.example",
        ),
        (Mood::Endless, "answers with more than 2097152 bytes"),
    ];
    for (number, (mood, why)) in odd.into_iter().enumerate() {
        stage.double.becomes(mood);
        // What failed is not asked for again at once: another path each time.
        let said = stage.get(&format!("vault:kv/{number}#key")).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn who_asks_and_where_is_said_by_the_environment() {
    let refused = "the token has expired, or has no policy that allows it";
    let cases: [(Given, Result<&str, &str>); 8] = [
        (|it| vec![("BAO_ADDR", it.url()), ("BAO_TOKEN", ROOT.to_owned())], Ok("value-of-the-key")),
        (|it| vec![("VAULT_ADDR", it.url())], Err("run `vault login`")),
        (|it| vec![("VAULT_ADDR", it.url()), ("VAULT_TOKEN", "hvs.x".to_owned())], Err(refused)),
        (|it| vec![("VAULT_ADDR", it.url()), ("VAULT_TOKEN", "a\nb".to_owned())], Err("visible")),
        (
            |it| {
                vec![
                    ("VAULT_ADDR", it.url()),
                    ("VAULT_TOKEN", ROOT.to_owned()),
                    ("VAULT_NAMESPACE", "team/a".to_owned()),
                ]
            },
            Err(refused),
        ),
        (|_| vec![("VAULT_ADDR", "http://vault.example".to_owned())], Err("without TLS")),
        (|_| vec![("VAULT_ADDR", "vault.example".to_owned())], Err("is no address")),
        (|_| Vec::new(), Err("set $VAULT_ADDR")),
    ];
    for (variables, expected) in cases {
        let stage = stage_with(variables);
        match (stage.get("vault:kv/app/model#key"), expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, expected),
            (Err(said), Err(why)) => assert!(said.contains(why), "{said}"),
            (said, _) => panic!("{said:?}, not {expected:?}"),
        }
    }
    let stage = stage_with(|it| {
        let namespace = ("VAULT_NAMESPACE", "team/a".to_owned());
        vec![("VAULT_ADDR", it.url()), ("VAULT_TOKEN", ROOT.to_owned()), namespace]
    });
    stage.double.only_for("team/a");
    assert_eq!(stage.get("vault:kv/app/model#key").unwrap(), "value-of-the-key");
}

#[test]
fn a_token_that_a_login_left_is_read_when_it_is_needed() {
    let stage = stage_with(|it| vec![("VAULT_ADDR", it.url())]);
    assert!(stage.get("vault:kv/app/model#key").unwrap_err().contains("vault login"));
    std::fs::write(stage.home.path().join(".vault-token"), format!("{ROOT}\n")).unwrap();
    assert_eq!(
        stage.get("vault:kv/app/model#other").unwrap_err(),
        stage.get("vault:kv/app/model#key").unwrap_err(),
        "a failure is remembered for a moment"
    );
    assert_eq!(stage.get("vault:team/kv//app#key").unwrap(), "value-of-the-team");
}

#[test]
fn a_vault_that_says_nothing_is_not_waited_for_by_everybody_in_turn() {
    let stage = stage_with(|it| {
        let patience = ("VAULT_CLIENT_TIMEOUT", "1s".to_owned());
        vec![("VAULT_ADDR", it.url()), ("VAULT_TOKEN", ROOT.to_owned()), patience]
    });
    stage.double.becomes(Mood::Silent);
    std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..8).map(|_| scope.spawn(|| stage.get("vault:kv/app/model#key"))).collect();
        for one in all {
            assert_eq!(one.join().unwrap().unwrap_err(), "AT did not answer within 1 s");
        }
    });
    assert_eq!(stage.double.asked().len(), 1);
}

#[test]
fn what_is_lent_is_shared_recorded_and_given_back() {
    let stage = stage();
    assert_eq!(stage.get("vault-lease:database/creds/shop#username").unwrap(), "v-token-user-1");
    let password = stage.get("vault-lease:database/creds/shop#password").unwrap();
    assert!(password.starts_with("A1a-password-1"), "{password}");
    assert_eq!(stage.is(), [LeaseIs::Open]);
    assert_eq!(stage.backends.end(), []);
    assert_eq!(stage.is(), [LeaseIs::Revoked]);
    let asked = stage.double.asked();
    assert_eq!(
        asked,
        [
            "GET /v1/database/creds/shop",
            "POST /v1/sys/leases/revoke {\"lease_id\":\"database/creds/shop/lease1\",\"sync\":true}"
        ]
    );
    let told = stage.told.lock().unwrap().clone();
    assert!(!format!("{told:?}").contains("A1a"), "{told:?}");
    assert_eq!(told[0].place, "vault-lease:database/creds/shop");
    assert_eq!(told[0].lease, "database/creds/shop/lease1");
    assert_eq!(stage.steps(), [LeaseStep::Lent { seconds: Some(3600) }, LeaseStep::Returned]);
    assert!(stage.get("vault-lease:database/creds/shop#username").is_err());
}

#[test]
fn what_cannot_be_given_back_is_told() {
    let stage = stage();
    stage.get("vault-lease:database/creds/shop#username").unwrap();
    stage.double.becomes(Mood::Keeps);
    let failed = stage.backends.end();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].lease, "database/creds/shop/lease1");
    assert!(failed[0].why.contains("refuses `sys/leases/revoke`"), "{failed:?}");
    assert!(matches!(stage.steps()[1], LeaseStep::NotReturned { .. }), "{:?}", stage.steps());
    assert_eq!(stage.backends.end(), [], "once");
}

#[test]
fn a_lease_is_renewed_for_as_long_as_the_session_needs_it() {
    let stage = stage();
    stage.double.lend_at("database/creds/short", Duration::from_secs(2), LONG);
    let first = stage.get("vault-lease:database/creds/short#password").unwrap();
    // Longer than it was lent for.
    std::thread::sleep(Duration::from_millis(3500));
    assert_eq!(stage.get("vault-lease:database/creds/short#password").unwrap(), first);
    assert_eq!(stage.is(), [LeaseIs::Open]);
    let renewed = stage.double.asked().iter().filter(|it| it.contains("sys/leases/renew")).count();
    assert!(renewed >= 2, "{renewed}");
    stage.backends.end();
    assert_eq!(stage.is(), [LeaseIs::Revoked]);
}

#[test]
fn a_lease_that_cannot_be_renewed_any_more_is_replaced_by_another() {
    let stage = stage();
    let short = Duration::from_secs(2);
    stage.double.lend_at("database/creds/short", short, short);
    let first = stage.get("vault-lease:database/creds/short#password").unwrap();
    // A moment before its end.
    stage.wait_until(&[LeaseIs::Revoked]);
    let second = stage.get("vault-lease:database/creds/short#password").unwrap();
    assert_ne!(first, second);
    stage.backends.end();
    assert_eq!(stage.is(), [LeaseIs::Revoked, LeaseIs::Revoked]);
}

#[test]
fn what_has_a_time_of_its_own_is_asked_for_with_it_and_given_back_after_it() {
    let stage = stage();
    stage.double.lend_at("aws/sts/shop", LONG, LONG);
    let place = "vault-lease:aws/sts/shop#password";
    stage.get_for(place, Some(900), "api.example.com").unwrap();
    assert_eq!(stage.double.asked(), ["GET /v1/aws/sts/shop?ttl=900s"]);
    assert_eq!(stage.steps(), [LeaseStep::Lent { seconds: Some(900) }]);
    // An engine that lends for an hour, whatever it is asked.
    let place = "vault-lease:database/creds/shop#password";
    let first = stage.get_for(place, Some(1), "api.example.com").unwrap();
    stage.wait_until(&[LeaseIs::Open, LeaseIs::Revoked]);
    let second = stage.get_for(place, Some(1), "api.example.com").unwrap();
    assert_ne!(first, second);
    stage.backends.end();
    assert_eq!(stage.is(), [LeaseIs::Revoked; 3]);
}

#[test]
fn an_entry_with_a_time_of_its_own_is_read_again_after_it() {
    let stage = stage();
    let read = || stage.get_for("vault:kv/app/model#key", Some(1), "api.example.com").unwrap();
    assert_eq!(read(), "value-of-the-key");
    stage.double.keep("kv/app/model", json!({ "key": "value-of-a-newer-key" }));
    assert_eq!(read(), "value-of-the-key");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(read(), "value-of-a-newer-key");
}

#[test]
fn a_template_is_filled_in_for_each_use() {
    let stage = stage();
    for host in ["a.example.com", "b.example.com"] {
        stage.double.lend_at(&format!("aws/sts/s-{host}"), LONG, LONG);
    }
    let place = "vault-lease:aws/sts/{project}-x/{host}#password";
    assert!(stage.get_for(place, None, "a.example.com").is_err());
    let place = "vault-lease:aws/sts/s-{host}#password";
    let first = stage.get_for(place, Some(900), "a.example.com").unwrap();
    let second = stage.get_for(place, Some(900), "b.example.com").unwrap();
    assert_ne!(first, second);
    assert_eq!(stage.get_for(place, Some(900), "a.example.com").unwrap(), first);
    let odd = stage.get_for(place, Some(900), "::1").unwrap_err();
    assert!(odd.contains("{host} cannot stand in a path"), "{odd}");
    assert_eq!(
        stage.double.asked(),
        [
            "GET /v1/aws/sts/shop-x/a.example.com",
            "GET /v1/aws/sts/s-a.example.com?ttl=900s",
            "GET /v1/aws/sts/s-b.example.com?ttl=900s",
        ]
    );
    stage.backends.end();
    assert_eq!(stage.is(), [LeaseIs::Revoked, LeaseIs::Revoked]);
}

#[test]
fn a_token_has_the_named_policies_and_no_others() {
    let stage = stage();
    let token = stage.get_for("vault-token:read-{project},log", Some(900), "a.example").unwrap();
    assert_eq!(token, "hvs.CHILD-1-of-it");
    let asked = stage.double.asked().concat();
    let body: serde_json::Value =
        serde_json::from_str(asked.strip_prefix("POST /v1/auth/token/create ").unwrap()).unwrap();
    assert_eq!(
        body,
        json!({ "policies": ["read-shop", "log"], "no_default_policy": true, "ttl": "900s",
                "display_name": "ringfence-s7f3abcdef",
                "meta": { "ringfence_session": "s7f3abcdef" } })
    );
    stage.backends.end();
    assert_eq!(stage.is(), [LeaseIs::Revoked]);
    assert_eq!(
        stage.double.asked(),
        ["POST /v1/auth/token/revoke-accessor {\"accessor\":\"accessor1\"}"]
    );
}

#[test]
fn a_session_asks_for_so_many_and_no_more() {
    let stage = stage();
    let place = "vault:kv/{host}#key";
    let asked = |number: u32| stage.get_for(place, None, &format!("h{number}.example.com"));
    let limit = (0..400).position(|number| asked(number).unwrap_err().contains("256 others"));
    assert_eq!(limit, Some(256));
}

#[test]
fn what_is_dropped_is_given_back() {
    let Stage { double, backends, .. } = {
        let stage = stage();
        stage.get("vault-lease:database/creds/shop#username").unwrap();
        stage
    };
    drop(backends);
    assert_eq!(double.leases()[0].1, LeaseIs::Revoked);
}

#[test]
fn a_lease_whose_name_is_a_command_is_none() {
    let stage = stage();
    for (number, name) in ["x;curl evil", "$(id)", "-force", "a\u{1b}[2J"].into_iter().enumerate() {
        let body =
            json!({ "lease_id": name, "lease_duration": 60, "data": { "key": "some-value" } });
        let (body, head) = (body.to_string(), "HTTP/1.1 200 OK\r\ncontent-length:");
        let whole = format!("{head} {}\r\n\r\n{body}", body.len());
        stage.double.becomes(Mood::Says(whole.leak()));
        let said = stage.get(&format!("vault-lease:any/{number}#key")).unwrap_err();
        assert!(said.contains("is not understood"), "{name}: {said}");
    }
    assert_eq!(stage.steps(), []);
}
