//! What statements of SQL do: which classes they belong to, and which tables they name.
//!
//! Which database will read them is not known. Each of the common dialects is tried, and whatever any of them
//! makes of the text counts. Where databases disagree about where a text or a comment ends, and where none of the
//! dialects understands it, the text is opaque. So it is where it calls a function that is not known to compute only:
//! what that reads and does is not told by the statement.

mod batches;
mod functions;
mod readings;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::thread;

use readings::Readings;
use sqlparser::ast::{
    BinaryOperator, CopySource, CopyTarget, Expr, Ident, Insert, ObjectName, Query, Select,
    Statement, TableFactor, TableObject, Visit, Visitor,
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
    /// The functions that are called and not known to compute only, in small letters.
    pub unknown: BTreeSet<String>,
}

impl Sql {
    /// Takes a text apart.
    pub fn read(text: &str) -> Sql {
        if text.len() > SQL_BYTES_MAX {
            return Sql::opaque();
        }
        let readings = readings::of(text);
        if readings == Readings::Several {
            return Sql::opaque();
        }
        let run = || read_in_all_dialects(text, readings);
        let found = thread::scope(|scope| {
            let thread = thread::Builder::new().name("sql".to_owned()).stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, run).ok().and_then(|thread| thread.join().ok())
        });
        found.flatten().unwrap_or_else(Sql::opaque)
    }

    fn opaque() -> Sql {
        Sql { classes: [OTHER.to_owned()].into(), opaque: true, ..Sql::default() }
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

fn read_in_all_dialects(text: &str, readings: Readings) -> Option<Sql> {
    let dialects: [&dyn Dialect; 5] = [
        &MySqlDialect {},
        &GenericDialect {},
        &PostgreSqlDialect {},
        &SQLiteDialect {},
        &MsSqlDialect {},
    ];
    let mut found: Option<Sql> = None;
    for (number, dialect) in dialects.into_iter().enumerate() {
        let Some(statements) = statements(text, dialect) else {
            if number == 0 && readings == Readings::OneMoreForMySql {
                return None;
            }
            continue;
        };
        let sql = found.get_or_insert_default();
        for statement in &statements {
            // It never breaks off.
            let _: ControlFlow<()> = statement.visit(&mut Reading(sql));
        }
        if statements.is_empty() {
            sql.class(OTHER);
        }
    }
    if let Some(sql) = &mut found
        && sql.classes.iter().all(|class| class == READ || class == WRITE)
        && batches::hides_statements(text, sql.classes.contains(WRITE))
    {
        sql.class(OTHER);
        sql.opaque = true;
    }
    found
}

fn statements(text: &str, dialect: &dyn Dialect) -> Option<Vec<Statement>> {
    let parser = Parser::new(dialect).with_recursion_limit(LEVELS_MAX).try_with_sql(text);
    let mut parser = parser.ok()?;
    let statements = parser.parse_statements().ok()?;
    // It stops at an `END` that ends nothing, and databases go on behind it.
    (parser.peek_token_ref().token == Token::EOF).then_some(statements)
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
        if let Statement::Insert(Insert { table: TableObject::TableFunction(to), .. }) = statement {
            self.called(&to.name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.0.class(READ);
        if !query.locks.is_empty() || query.settings.is_some() || query.format_clause.is_some() {
            self.0.class(OTHER);
        }
        if !query.pipe_operators.is_empty() {
            self.untold();
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
        if is_elsewhere(name) {
            self.untold();
        }
        ControlFlow::Continue(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only these two call a function by name")]
    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Function { name, .. } | TableFactor::Table { name, args: Some(_), .. } => {
                self.called(name);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all others compute, or hold others")]
    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => self.called(&function.name),
            // An operator that is named may be anybody's function, and a variable outlives the statement.
            Expr::BinaryOp { op: BinaryOperator::PGCustomBinaryOperator(_), .. }
            | Expr::BinaryOp { op: BinaryOperator::Assignment, .. } => self.untold(),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Reading<'_> {
    /// A function, which only computes where it is known to.
    fn called(&mut self, name: &ObjectName) {
        if !functions::is_known(name) {
            self.0.class(OTHER);
            self.0.opaque = true;
            self.0.unknown.insert(name.to_string().to_lowercase());
        }
    }

    /// More than what the statement names is read, or something else is done.
    fn untold(&mut self) {
        self.0.class(OTHER);
        self.0.opaque = true;
    }
}

/// Whether what stands where a table does is a file, a table of another server, or shows a file of the server's.
fn is_elsewhere(name: &ObjectName) -> bool {
    let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let is_file = |part: &&Ident| {
        part.quote_style == Some('\'') || part.value.contains(['/', ':', '\\', '*', '?', '@'])
    };
    let whole = parts.iter().map(|part| small(part)).collect::<Vec<_>>().join(".");
    let (before, last) = whole.rsplit_once('.').unwrap_or(("", &whole));
    let has_ending = !before.is_empty() && FILE_ENDINGS.contains(&last);
    let is_of_variable = parts.len() == 1 && whole.starts_with('@');
    parts.len() > NAME_PARTS_MAX
        || (parts.iter().any(is_file) && !is_of_variable)
        || has_ending
        || SHOWING_FILES.contains(&last)
}

/// Most parts of the name of a table that is in the database; the fourth is a server (SQL Server).
const NAME_PARTS_MAX: usize = 3;

/// DuckDB reads `data.csv`, with quotes or without, where it has no such table.
const FILE_ENDINGS: &[&str] = &[
    "arrow", "avro", "bz2", "csv", "db", "duckdb", "feather", "gz", "json", "jsonl", "ndjson",
    "orc", "parquet", "shp", "sqlite", "sqlite3", "tsv", "txt", "xls", "xlsx", "zst",
];

/// Tables and views that are made of files: of PostgreSQL, and of SQLite (`fsdir` and `zipfile` take the name of the
/// file also as a column).
const SHOWING_FILES: &[&str] = &[
    "fsdir",
    "pg_file_settings",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "sqlite_dbpage",
    "zipfile",
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
