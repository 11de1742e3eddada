//! A segment that grows while it is read says the same as one that is read at once.
#![no_main]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use ringfence_log::LogReader;

/// What a reader says of each entry until it says nothing more.
fn said(reader: &mut LogReader, lines: &mut Vec<String>) {
    lines.extend(reader.map(|entry| match entry {
        Ok(logged) => format!("{} {}", logged.index, logged.json),
        Err(error) => error.to_string(),
    }));
}

fn reader(dir: &Path) -> LogReader {
    LogReader::open(dir).unwrap()
}

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("log/segments")).unwrap();
    let path = dir.path().join("log/segments/00000000000000000000.log");
    let (first, second) = bytes.split_at(usize::from(cut).min(bytes.len()));
    fs::write(&path, first).unwrap();
    let (mut growing, mut in_parts, mut at_once) = (reader(dir.path()), Vec::new(), Vec::new());
    said(&mut growing, &mut in_parts);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(second).unwrap();
    said(&mut growing, &mut in_parts);
    said(&mut reader(dir.path()), &mut at_once);
    assert_eq!(in_parts, at_once);
});
