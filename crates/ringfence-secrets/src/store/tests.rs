//! What is kept comes back, and to nobody else.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::binding::Slot;
use crate::sentinel::Shape;

const VALUE: &str = "sk-ant-api03-real-value-that-nobody-sees";

fn secret(value: &str) -> Secret {
    Secret::new("model".parse().unwrap(), value).unwrap()
}

fn binding() -> Binding {
    Binding {
        name: "model".parse().unwrap(),
        hosts: vec!["api.example.com".parse().unwrap()],
        methods: Vec::new(),
        paths: Vec::new(),
        slots: vec![Slot::Basic],
        deliver: Vec::new(),
        shape: Shape::of(VALUE),
        backend: AGE.to_owned(),
        ttl_seconds: None,
    }
}

struct Stage {
    store: Store,
    dir: tempfile::TempDir,
}

fn stage() -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path().join("secrets"));
    store.add(&binding(), Some(&secret(VALUE))).unwrap();
    Stage { store, dir }
}

fn files(stage: &Stage) -> Vec<PathBuf> {
    let read = fs::read_dir(stage.dir.path().join("secrets")).unwrap();
    read.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_value_comes_back_and_is_nowhere_in_the_files() {
    let stage = stage();
    let name = "model".parse().unwrap();
    assert_eq!(stage.store.value(&name).unwrap().dangerous_reveal(), VALUE);
    assert_eq!(stage.store.list().unwrap(), [binding()]);
    for file in files(&stage) {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        let bytes = fs::read(&file).unwrap();
        assert!(memchr::memmem::find(&bytes, &VALUE.as_bytes()[13..]).is_none());
    }
    stage.store.rotate(&name, &secret("ghp_another-value-of-another-kind")).unwrap();
    assert_eq!(
        stage.store.value(&name).unwrap().dangerous_reveal(),
        "ghp_another-value-of-another-kind"
    );
    stage.store.remove(&name).unwrap();
    assert!(matches!(stage.store.value(&name), Err(StoreError::Unknown(_))));
    assert_eq!(files(&stage).len(), 1, "only the key is left");
}

#[test]
fn a_secret_is_not_overwritten_by_adding_it_again() {
    let stage = stage();
    let again = stage.store.add(&binding(), Some(&secret("another-value")));
    assert!(matches!(again, Err(StoreError::Exists(_))));
    assert_eq!(stage.store.value(&"model".parse().unwrap()).unwrap().dangerous_reveal(), VALUE);
}

#[test]
fn a_binding_that_was_changed_behind_our_back_has_no_value() {
    let stage = stage();
    let path = stage.dir.path().join("secrets/model.json");
    let text = fs::read_to_string(&path).unwrap().replace("api.example.com", "evil.example.com");
    fs::write(&path, text).unwrap();
    let said = stage.store.value(&"model".parse().unwrap()).unwrap_err().to_string();
    assert!(said.contains("the binding was changed"), "{said}");
}

#[test]
fn files_that_others_may_read_or_that_lead_elsewhere_are_refused() {
    for file in ["model.json", "model.age", "identity.txt"] {
        let stage = stage();
        let path = stage.dir.path().join("secrets").join(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let said = stage.store.value(&"model".parse().unwrap());
        assert!(matches!(said, Err(StoreError::Open { .. })), "{file}: {said:?}");
        let elsewhere = stage.dir.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(stage.store.value(&"model".parse().unwrap()).is_err(), "{file}");
    }
}

#[test]
fn what_is_damaged_is_an_error_that_does_not_quote_it() {
    for file in ["model.json", "model.age", "identity.txt"] {
        for (what, bytes) in [("empty", Vec::new()), ("noise", b"sk-ant-api03-x{".repeat(9))] {
            let stage = stage();
            fs::write(stage.dir.path().join("secrets").join(file), bytes).unwrap();
            let said = stage.store.value(&"model".parse().unwrap()).unwrap_err();
            assert!(matches!(said, StoreError::Damaged { .. }), "{what} {file}: {said:?}");
            assert!(!format!("{said} {said:?}").contains("sk-ant"), "{said:?}");
        }
    }
}

#[test]
fn a_value_is_in_no_text_about_it() {
    assert_eq!(format!("{:?}", secret(VALUE)), "Secret(model)");
    for wrong in ["short", "with space in it", "two\nlines-in-it", "non-ascii-äöü", "nul-\0-in-it"]
    {
        let refused = Secret::new("model".parse().unwrap(), wrong);
        let said = refused.unwrap_err();
        assert!(!format!("{said} {said:?}").contains(wrong));
    }
    let long = "x".repeat(9000);
    assert!(Secret::new("model".parse().unwrap(), &long).is_err());
    assert_eq!(secret("trailing-line-end\r\n").dangerous_reveal(), "trailing-line-end");
}
