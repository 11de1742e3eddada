//! No text makes the reader of SQL panic, and nothing in front of a statement hides it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_proxy::mcp::roles::sql::{DDL, OTHER, READ, Sql, WRITE};

fuzz_target!(|text: &str| {
    let sql = Sql::read(text);
    assert!(!sql.classes.is_empty());
    assert!(sql.classes.iter().all(|class| [READ, WRITE, DDL, OTHER].contains(&class.as_str())));
    if sql.opaque {
        return;
    }
    let more = Sql::read(&format!("{text}\n;DROP TABLE zz"));
    assert!(more.opaque || (more.classes.contains(DDL) && more.tables.contains("zz")), "{more:?}");
});
