//! The trust store of Java's runtimes, in the one format that all of them read: JKS.

use sha1::{Digest as _, Sha1};

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
/// The tag of a certificate that is believed.
const TRUSTED: u32 = 2;
/// What everybody's store is sealed with; it is no secret.
const PASSWORD: &str = "changeit";
/// Goes into the seal, by the format.
const SALT: &[u8] = b"Mighty Aphrodite";

/// A store with these certificates.
pub(super) fn store(certificates: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(MAGIC.to_be_bytes());
    out.extend(VERSION.to_be_bytes());
    out.extend(length(certificates.len()));
    for (at, certificate) in certificates.iter().enumerate() {
        out.extend(TRUSTED.to_be_bytes());
        text(&format!("authority-{at}"), &mut out);
        // When it was added; nobody asks.
        out.extend(0_u64.to_be_bytes());
        text("X.509", &mut out);
        out.extend(length(certificate.len()));
        out.extend(certificate);
    }
    let password = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let seal = Sha1::new().chain_update(password).chain_update(SALT).chain_update(&out).finalize();
    out.extend(seal);
    out
}

fn length(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

/// Text of ASCII as `DataOutput.writeUTF` has it.
fn text(text: &str, out: &mut Vec<u8>) {
    out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(text.as_bytes());
}
