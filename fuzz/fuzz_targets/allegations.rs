//! What an agent alleges - paths, endpoints, command lines - is canonical once it is parsed:
//! parsing what it prints gives the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_core::{AbsolutePath, CommandLine, Endpoint};
use ringfence_policy::grant::GrantText;

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<Vec<u8>> = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    let _ = CommandLine::new("git", &words);
    if let Ok(path) = AbsolutePath::from_bytes(bytes) {
        let text = path.as_str();
        assert!(text.starts_with('/') && !text.split('/').any(|part| part == ".."));
        assert_eq!(AbsolutePath::parse(text).as_ref(), Ok(&path));
        assert!(path.is_within(&AbsolutePath::root()));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(endpoint) = text.parse::<Endpoint>() {
        assert_eq!(endpoint.to_string().parse::<Endpoint>().as_ref(), Ok(&endpoint));
    }
    if let Ok(grant) = GrantText::parse(text, &|_| None) {
        let again = GrantText::parse(&grant.to_string(), &|_| None).expect("what was printed");
        assert_eq!(again.to_string(), grant.to_string());
    }
});
