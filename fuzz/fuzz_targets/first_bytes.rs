//! What a client speaks is told once: more bytes change nothing about it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_proxy::net::first::{Speaks, speaks};

fuzz_target!(|sent: &[u8]| {
    let mut known = Speaks::More;
    for end in 0..=sent.len() {
        let now = speaks(&sent[..end]);
        assert!(known == Speaks::More || known == now, "{known:?}, then {now:?} at {end}");
        known = now;
    }
});
