//! No text makes the reader of command lines panic, and nothing in front of a command hides it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_proxy::mcp::roles::ArgumentRole;
use ringfence_proxy::mcp::roles::shell::Shell;

fuzz_target!(|text: &str| {
    let shell = Shell::read(text);
    assert!(shell.programs.iter().all(|name| !name.contains('/')), "{:?}", shell.programs);
    if shell.opaque {
        return;
    }
    let more = Shell::read(&format!("{text}\nrm zz"));
    let deletes = more.paths.contains(&(ArgumentRole::DeletePath, "zz".to_owned()));
    assert!(more.opaque || (more.programs.contains("rm") && deletes), "{more:?}");
    assert!(more.opaque || shell.programs.is_subset(&more.programs));
    let within = Shell::read(&format!("echo $({text}\n)"));
    assert!(within.opaque || shell.programs.is_subset(&within.programs), "{within:?}");
});
