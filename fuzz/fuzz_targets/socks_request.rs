//! A SOCKS request is for one endpoint that is written in one way, and takes no byte too many.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_proxy::net::socks::{Said, greeting, request};

fuzz_target!(|said: &[u8]| {
    if let Said::Whole(_, used) = greeting(said) {
        assert!(used <= said.len());
    }
    match request(said) {
        Said::Whole(endpoint, used) => {
            assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
            assert_eq!(request(&said[..used - 1]), Said::More);
        }
        Said::More | Said::Wrong(_) => {}
    }
});
