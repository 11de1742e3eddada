//! What statements of SQL do: which classes they belong to, and which tables they name.
//!
//! Which database will read them is not known. Each of the common dialects is tried, and whatever any of them
//! makes of the text counts. Where databases disagree about where a text or a comment ends, and where none of the
//! dialects understands it, the text is opaque.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::thread;

use sqlparser::ast::{
    CopySource, CopyTarget, Expr, Ident, ObjectName, Query, Select, Statement, Visit, Visitor,
};
use sqlparser::dialect::{
    Dialect, GenericDialect, MsSqlDialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect,
};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

/// Longest text that is taken apart, in bytes.
pub const SQL_BYTES_MAX: usize = 32 * 1024;
/// Deepest nesting of statements and expressions.
const LEVELS_MAX: usize = 40;
/// Stack of the thread that takes a text apart, in bytes: a long chain of operators is as deep as it is long.
const STACK_BYTES: usize = 128 << 20;

/// Statements that only look.
pub const READ: &str = "read";
/// Statements that change rows.
pub const WRITE: &str = "write";
/// Statements that change what there is: tables, views, indexes.
pub const DDL: &str = "ddl";
/// All others: privileges, files, programs, settings, and what nobody understands.
pub const OTHER: &str = "other";

/// What a text of SQL does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sql {
    /// The classes of all its statements.
    pub classes: BTreeSet<String>,
    /// The tables they name, in small letters; one with a schema also without it.
    pub tables: BTreeSet<String>,
    /// What it does is not known.
    pub opaque: bool,
}

impl Sql {
    /// Takes a text apart.
    pub fn read(text: &str) -> Sql {
        if text.len() > SQL_BYTES_MAX || has_two_readings(text) {
            return Sql::opaque();
        }
        let run = || read_in_all_dialects(text);
        let found = thread::scope(|scope| {
            let thread = thread::Builder::new().name("sql".to_owned()).stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, run).ok().and_then(|thread| thread.join().ok())
        });
        found.flatten().unwrap_or_else(Sql::opaque)
    }

    fn opaque() -> Sql {
        Sql { classes: [OTHER.to_owned()].into(), tables: BTreeSet::new(), opaque: true }
    }

    fn class(&mut self, class: &str) {
        if !self.classes.contains(class) {
            self.classes.insert(class.to_owned());
        }
    }

    fn table(&mut self, name: &ObjectName) {
        let parts: Vec<String> =
            name.0.iter().filter_map(|part| Some(small(part.as_ident()?))).collect();
        self.tables.extend(parts.last().cloned());
        if parts.len() > 1 {
            self.tables.insert(parts.join("."));
        }
    }
}

fn small(ident: &Ident) -> String {
    ident.value.to_lowercase()
}

fn read_in_all_dialects(text: &str) -> Option<Sql> {
    let dialects: [&dyn Dialect; 5] = [
        &GenericDialect {},
        &PostgreSqlDialect {},
        &MySqlDialect {},
        &SQLiteDialect {},
        &MsSqlDialect {},
    ];
    let mut found: Option<Sql> = None;
    for dialect in dialects {
        let parser = Parser::new(dialect).with_recursion_limit(LEVELS_MAX).try_with_sql(text);
        let Ok(mut parser) = parser else { continue };
        let Ok(statements) = parser.parse_statements() else { continue };
        if parser.peek_token_ref().token != Token::EOF {
            // It stops at an `END` that ends nothing, and databases go on behind it.
            continue;
        }
        let sql = found.get_or_insert_default();
        for statement in &statements {
            // It never breaks off.
            let _: ControlFlow<()> = statement.visit(&mut Reading(sql));
        }
        if statements.is_empty() {
            sql.class(OTHER);
        }
    }
    found
}

/// Whether databases disagree about where a text, a name or a comment in it ends, so that what one takes for a
/// text another may carry out.
fn has_two_readings(text: &str) -> bool {
    let odd = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t' | '\r');
    let lone_return = text.replace("\r\n", "\n").contains('\r');
    let escaped = ["\\'", "\\\"", "\\`"].iter().any(|it| text.contains(it));
    let dashes = text.match_indices("--").any(|(at, _)| {
        let rest = text.get(at.saturating_add(2)..).unwrap_or_default();
        !rest.is_empty() && !rest.starts_with(char::is_whitespace)
    });
    text.contains(odd)
        || lone_return
        || escaped
        || dashes
        || has_odd_comment(text)
        || has_dollar_quote(text)
        || has_quote_in_brackets(text)
}

/// A comment that some carry out (`/*! */`), or one within another, which some end at the first end.
fn has_odd_comment(text: &str) -> bool {
    text.split("/*").skip(1).any(|rest| {
        let inside = rest.split("*/").next().unwrap_or_default();
        !rest.contains("*/") || inside.starts_with('!') || inside.starts_with("M!")
    })
}

/// `$$` and `$tag$` begin a text in one database, and are names of variables in another.
fn has_dollar_quote(text: &str) -> bool {
    text.split('$').skip(1).any(|rest| {
        let tag = rest.trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_');
        let is_last = tag.is_empty();
        let numbered = rest.starts_with(|first: char| first.is_ascii_digit());
        is_last && !numbered && text.matches('$').count() > 1
    })
}

/// `[` begins a name in one database, and an element of an array in another.
fn has_quote_in_brackets(text: &str) -> bool {
    let inside =
        |rest: &str| rest.split(']').next().unwrap_or_default().contains(['\'', '"', '`', ';']);
    text.split('[').skip(1).any(inside)
}

/// Adds what is seen of a statement.
struct Reading<'a>(&'a mut Sql);

impl Visitor for Reading<'_> {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        for class in classes_of(statement) {
            self.0.class(class);
        }
        if let Statement::Drop { names, .. } = statement {
            for name in names {
                self.0.table(name);
            }
        }
        if let Statement::Copy { source: CopySource::Table { table_name, .. }, .. } = statement {
            self.0.table(table_name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.0.class(READ);
        if !query.locks.is_empty() || query.settings.is_some() || query.format_clause.is_some() {
            self.0.class(OTHER);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if select.into.is_some() {
            self.0.class(WRITE);
            self.0.class(OTHER);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        self.0.table(name);
        self.called(name);
        // Some databases read a file that stands where a table does.
        let parts = name.0.iter().filter_map(|part| part.as_ident());
        let is_file =
            |part: &Ident| part.quote_style == Some('\'') || part.value.contains(['/', ':']);
        if parts.into_iter().any(is_file) {
            self.0.class(OTHER);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &sqlparser::ast::TableFactor) -> ControlFlow<()> {
        if let sqlparser::ast::TableFactor::Function { name, .. } = factor {
            self.called(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.called(&function.name);
        }
        ControlFlow::Continue(())
    }
}

impl Reading<'_> {
    /// A function that does more than to compute.
    fn called(&mut self, name: &ObjectName) {
        let known = |name: &str| {
            EFFECTS.contains(&name) || BEGINNINGS.iter().any(|it| name.starts_with(it))
        };
        // `DBMS_LOCK.SLEEP` is told by its first part, `pg_catalog.pg_sleep` by its last one.
        let parts = name.0.iter().map(|part| part.as_ident().map(small));
        // What makes its own name is not known.
        if parts.into_iter().any(|part| part.is_none_or(|part| known(&part))) {
            self.0.class(OTHER);
        }
    }
}

/// Functions that reach files, programs, other servers, locks or time.
const EFFECTS: &[&str] = &[
    "benchmark",
    "copy",
    "cursor_to_xml",
    "database_to_xml",
    "edit",
    "eval",
    "file",
    "fts3_tokenizer",
    "generate_series_file",
    "get_lock",
    "getenv",
    "glob",
    "hdfs",
    "input",
    "jdbc",
    "load_extension",
    "load_file",
    "master_pos_wait",
    "mongodb",
    "mysql",
    "nextval",
    "odbc",
    "opendatasource",
    "openquery",
    "openrowset",
    "parquet_scan",
    "postgresql",
    "query_to_xml",
    "readfile",
    "release_all_locks",
    "release_lock",
    "remote",
    "s3",
    "schema_to_xml",
    "set_config",
    "setval",
    "shell",
    "sleep",
    "source_pos_wait",
    "sqlite",
    "sys_eval",
    "sys_exec",
    "sys_get",
    "sys_set",
    "table_to_xml",
    "url",
    "writefile",
    "zipfile",
];

/// The same by how their names begin.
const BEGINNINGS: &[&str] = &[
    "dblink",
    "dbms_",
    "delta_",
    "http",
    "iceberg_",
    "lo_",
    "mysql_",
    "pg_advisory_",
    "pg_backup_",
    "pg_cancel_",
    "pg_create_",
    "pg_current_logfile",
    "pg_drop_",
    "pg_export_",
    "pg_file_",
    "pg_import_",
    "pg_log_",
    "pg_logdir_",
    "pg_logical_",
    "pg_ls_",
    "pg_notify",
    "pg_promote",
    "pg_read_",
    "pg_reload_",
    "pg_replication_",
    "pg_rotate_",
    "pg_sleep",
    "pg_start_",
    "pg_stat_file",
    "pg_stat_reset",
    "pg_stop_",
    "pg_switch_",
    "pg_terminate_",
    "pg_try_advisory_",
    "pg_wal_",
    "pg_write_",
    "postgres_",
    "query_to_xml",
    "read_",
    "sp_",
    "sqlite_scan",
    "st_read",
    "system$",
    "table_to_xml",
    "utl_",
    "writefile",
    "xp_",
];

/// Settings of SQLite that only tell something, also where they are given a name.
const PRAGMAS: &[&str] = &[
    "collation_list",
    "compile_options",
    "database_list",
    "foreign_key_check",
    "foreign_key_list",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "module_list",
    "pragma_list",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// The classes that a statement belongs to, without those of the statements in it.
fn classes_of(statement: &Statement) -> &'static [&'static str] {
    let from_here = |target: &CopyTarget| *target == CopyTarget::Stdin;
    let to_here = |target: &CopyTarget| *target == CopyTarget::Stdout;
    if let Statement::Copy { to, target, .. } = statement {
        if *to && to_here(target) {
            return &[READ];
        }
        if !to && from_here(target) {
            return &[WRITE];
        }
    }
    if let Statement::Pragma { name, is_eq: false, .. } = statement
        && is_telling(name)
    {
        return &[READ];
    }
    classes_of_kind(statement)
}

/// The same by the kind of the statement alone.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not listed is `other`, and new ones will be"
)]
fn classes_of_kind(statement: &Statement) -> &'static [&'static str] {
    match statement {
        Statement::Query(_)
        | Statement::Explain { .. }
        | Statement::ExplainTable { .. }
        | Statement::ShowFunctions { .. }
        | Statement::ShowVariable { .. }
        | Statement::ShowStatus { .. }
        | Statement::ShowVariables { .. }
        | Statement::ShowCreate { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowCatalogs { .. }
        | Statement::ShowDatabases { .. }
        | Statement::ShowProcessList { .. }
        | Statement::ShowSchemas { .. }
        | Statement::ShowCharset(_)
        | Statement::ShowObjects(_)
        | Statement::ShowTables { .. }
        | Statement::ShowViews { .. }
        | Statement::ShowCollation { .. } => &[READ],
        Statement::Copy { .. } | Statement::LoadData { .. } => &[WRITE, OTHER],
        Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Merge(_) => &[WRITE],
        Statement::Truncate(_) => &[WRITE, DDL],
        Statement::CreateView(_)
        | Statement::CreateTable(_)
        | Statement::CreateIndex(_)
        | Statement::CreateSchema { .. }
        | Statement::CreateDatabase { .. }
        | Statement::CreateSequence { .. }
        | Statement::CreateDomain(_)
        | Statement::CreateType { .. }
        | Statement::AlterTable(_)
        | Statement::AlterSchema(_)
        | Statement::AlterIndex { .. }
        | Statement::AlterView { .. }
        | Statement::AlterType(_)
        | Statement::Comment { .. }
        | Statement::Drop { .. }
        | Statement::DropDomain(_)
        | Statement::RenameTable(_) => &[DDL],
        // What runs later, or in the database's own name.
        Statement::CreateFunction(_)
        | Statement::CreateProcedure { .. }
        | Statement::CreateTrigger(_)
        | Statement::CreateVirtualTable { .. }
        | Statement::CreateMacro { .. }
        | Statement::CreateExtension(_)
        | Statement::CreatePolicy(_)
        | Statement::CreateRole(_)
        | Statement::CreateUser(_)
        | Statement::AlterRole { .. }
        | Statement::AlterUser(_)
        | Statement::AlterPolicy(_)
        | Statement::DropFunction(_)
        | Statement::DropProcedure { .. }
        | Statement::DropTrigger(_)
        | Statement::DropExtension(_)
        | Statement::DropPolicy(_) => &[DDL, OTHER],
        _ => &[OTHER],
    }
}

fn is_telling(name: &ObjectName) -> bool {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.is_some_and(|last| PRAGMAS.contains(&small(last).as_str()))
}

#[cfg(test)]
mod tests;
