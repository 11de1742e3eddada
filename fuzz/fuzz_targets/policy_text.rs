//! No text makes the loader panic, and what it accepts can be planned and explained.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_core::{Agent, SetName};
use ringfence_policy::{Options, Policy, Source};

fuzz_target!(|text: &str| {
    let source = Source {
        set: SetName::User,
        file: "fuzz.cedar".to_owned(),
        text: text.to_owned(),
        approves: Vec::new(),
    };
    match Policy::load(vec![source], &Options::default()) {
        Ok(policy) => {
            let agent = Agent("claude".to_owned());
            let _ = (policy.file_plan(&agent), policy.plan(&agent), policy.lints());
        }
        Err(errors) => assert!(!errors.summaries().is_empty(), "a refusal says why"),
    }
});
