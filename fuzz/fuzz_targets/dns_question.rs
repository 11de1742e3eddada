//! Any question is answered by an answer to it, or not at all; nothing but names of hosts gets an
//! address.
#![no_main]

use hickory_proto::op::{Message, MessageType};
use libfuzzer_sys::fuzz_target;
use ringfence_core::Host;
use ringfence_proxy::net::dns::{Families, answer};
use ringfence_proxy::net::names::Names;

fuzz_target!(|question: &[u8]| {
    let names = Names::default();
    let Some(answer) = answer(question, &names, Families::Both) else { return };
    assert_eq!(answer[..2], question[..2]);
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    for record in &answer.answers {
        assert!(matches!(Host::parse(&record.name.to_ascii()), Ok(Host::Name(_))));
    }
});
