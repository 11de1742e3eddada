//! Of all notes only the one that was signed is taken for a checkpoint.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_log::{Checkpoint, PublicKey};

/// The key that signed the note of the corpus, and nothing else; its private half is gone.
const KEY: &str = "AfN3l2X3DQx4Dqt3Oo4xKRFm9w6NNgzOI2VHUX8qy0AZ";
const ORIGIN: &str = "a574af366858ca65/stestsession";

/// What was signed.
const TEXT: &[u8] = b"a574af366858ca65/stestsession\n3\n\
    hZHyHD90nALwgbSJnmJVCrRf3ttUNI/37G00T8oo31o=\nclosed\n\n";

fuzz_target!(|note: &[u8]| {
    let key = PublicKey::parse(KEY).unwrap();
    if let Ok(checkpoint) = Checkpoint::verify(note, ORIGIN, &key) {
        assert!(note.starts_with(TEXT));
        assert_eq!((checkpoint.size, checkpoint.closed), (3, true));
    }
});
