//! No bytes make the reader of MCP messages panic, and what it takes for a message reads the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_proxy::mcp::frame::Frame;

fuzz_target!(|bytes: &[u8]| {
    let Ok(frame) = Frame::parse(bytes.to_vec()) else { return };
    let messages = match &frame {
        Frame::One(message) => std::slice::from_ref(message),
        Frame::Batch(messages) => messages.as_slice(),
    };
    for message in messages {
        let again = Frame::parse(message.text().as_bytes().to_vec());
        assert_eq!(again, Ok(Frame::One(message.clone())), "{}", message.text());
        let value: serde_json::Value = serde_json::from_str(message.text()).expect("a message is JSON");
        assert!(value.is_object());
    }
});
