//! No settings file makes the reader panic, and a refusal says what is wrong.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_runtime::settings::{Origin, SettingsFile};
use ringfence_runtime::whole_file::FileText;

fuzz_target!(|text: &str| {
    let file = FileText::new("settings.toml".into(), text.to_owned());
    for origin in [Origin::System, Origin::User, Origin::Project] {
        if let Err(error) = SettingsFile::parse(&file, origin) {
            assert!(!error.to_string().is_empty());
        }
    }
});
