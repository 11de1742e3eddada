//! What an ssh agent is asked is understood as a whole or not at all, and its list of keys has those alone
//! that are to be seen.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_runtime::signing::wire::{Asked, Purpose, asked, only, purpose};

fuzz_target!(|bytes: &[u8]| {
    match asked(bytes) {
        Asked::Sign { key, data } => {
            assert_eq!(asked(&bytes[..bytes.len() - 1]), Asked::Other);
            check(data, key);
        }
        Asked::Bind { .. } => assert_eq!(asked(&bytes[..bytes.len() - 1]), Asked::Other),
        Asked::Identities => assert_eq!(bytes.len(), 1),
        Asked::Change(does) => {
            // Whatever is behind the number, it is told by that alone.
            assert_eq!(asked(&bytes[..1]), Asked::Change(does));
        }
        Asked::Other => {}
    }
    check(bytes, b"key");
    let seen = |key: &[u8]| key.first().is_some_and(|first| first % 2 == 0);
    if let Some(kept) = only(bytes, seen) {
        assert!(kept.len() <= bytes.len());
        // Nothing else is left, and what is left is a list.
        assert_eq!(only(&kept, seen).as_ref(), Some(&kept));
        assert_eq!(only(&kept, |key| !seen(key)), Some(vec![12, 0, 0, 0, 0]));
    }
});

/// A signature that is understood is for nothing less and nothing more.
fn check(data: &[u8], key: &[u8]) {
    match purpose(data, key) {
        Some(Purpose::Login { session, .. }) => {
            assert!(!session.is_empty());
            assert!(purpose(data, &[key, b"x"].concat()).is_none(), "of another key");
            assert!(purpose(&[data, b"x"].concat(), key).is_none());
        }
        Some(Purpose::Message { namespace }) => {
            assert!(data.starts_with(b"SSHSIG") && !namespace.is_empty());
            assert!(purpose(&[data, b"x"].concat(), key).is_none());
        }
        None => {}
    }
}
