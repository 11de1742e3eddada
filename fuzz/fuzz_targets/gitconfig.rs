//! What an agent is shown of a person's git configuration, and what comes back from its copy, runs
//! no code, however the file is written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_runtime::gitconfig::{self, MergedBack, Signers};

fuzz_target!(|texts: (&str, &str)| {
    let (host, copy) = texts;
    if let Ok(settings) = gitconfig::parse(host) {
        let rendered = gitconfig::render(&settings);
        let again = gitconfig::parse(&rendered).expect("what was rendered parses");
        assert_eq!(settings, again, "{rendered}");
    }
    let shown = gitconfig::render(&gitconfig::for_agent(host, &|_| None, Signers::default()));
    assert!(gitconfig::parse(&shown).is_ok(), "{shown}");
    if let Ok(MergedBack { text: Some(text), .. }) = gitconfig::merge_back(host, copy, host) {
        let before = gitconfig::runs_code(host);
        let new: Vec<String> =
            gitconfig::runs_code(&text).into_iter().filter(|key| !before.contains(key)).collect();
        assert_eq!(new, Vec::<String>::new(), "what came back runs code: {text}");
    }
});
