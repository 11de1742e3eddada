//! Statements that SQL Server sees where other databases see a name: it needs nothing between two of them, so that
//! `select 1 shutdown` is two there, and one with an alias elsewhere.

use sqlparser::dialect::MsSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

/// Words that begin a statement there, and are no names unless they are quoted (Transact-SQL, "Reserved Keywords").
const BEGIN: &[&str] = &[
    "alter",
    "backup",
    "begin",
    "break",
    "bulk",
    "checkpoint",
    "close",
    "commit",
    "continue",
    "create",
    "dbcc",
    "deallocate",
    "declare",
    "delete",
    "deny",
    "drop",
    "dump",
    "exec",
    "execute",
    "goto",
    "grant",
    "insert",
    "kill",
    "load",
    "merge",
    "open",
    "print",
    "raiserror",
    "readtext",
    "reconfigure",
    "restore",
    "return",
    "revert",
    "revoke",
    "rollback",
    "save",
    "setuser",
    "shutdown",
    "truncate",
    "update",
    "updatetext",
    "use",
    "waitfor",
    "while",
    "writetext",
];

/// Words behind which such a one is no alias: it belongs to them, or the statement ends in an error.
const BEFORE: &[&str] = &[
    "all", "analyze", "and", "as", "between", "by", "case", "describe", "distinct", "do", "else",
    "exists", "explain", "for", "from", "having", "in", "is", "join", "key", "like", "limit",
    "not", "on", "or", "over", "select", "show", "then", "union", "using", "values", "verbose",
    "when", "where", "with",
];

/// Words that begin what a `with`, or an `explain`, is for.
const CHANGE: &[&str] = &["delete", "insert", "merge", "update"];

/// Whether a text that reads, or writes, only may be more statements there than it looks like.
pub(super) fn hides_statements(text: &str, is_write: bool) -> bool {
    // What it cannot take apart it does not run.
    let Ok(tokens) = Tokenizer::new(&MsSqlDialect {}, text).tokenize() else { return false };
    let is_seen = |token: &&Token| !matches!(token, Token::Whitespace(_));
    let tokens: Vec<&Token> = tokens.iter().filter(is_seen).collect();
    let pairs = tokens.iter().zip(tokens.iter().skip(1));
    pairs.zip(tokens.iter().skip(2).map(Some).chain([None])).any(|((before, word), after)| {
        let is_index =
            || matches!(after, Some(Token::Word(it)) if is_one_of(it, &["index", "key"]));
        let is_of_with =
            |it: &Word| is_write && matches!(before, Token::RParen) && is_one_of(it, CHANGE);
        let begins = |it: &Word| is_one_of(it, BEGIN) && !is_of_with(it);
        may_end(before) && matches!(word, Token::Word(it) if begins(it)) && !is_index()
    })
}

/// Whether a statement may end with this.
#[expect(clippy::wildcard_enum_match_arm, reason = "operators, and what opens or parts something")]
fn may_end(token: &Token) -> bool {
    match token {
        Token::Word(word) => !is_one_of(word, BEFORE),
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::Placeholder(_)
        | Token::Mul
        | Token::RBracket
        | Token::RParen => true,
        _ => false,
    }
}

fn is_one_of(word: &Word, all: &[&str]) -> bool {
    word.quote_style.is_none() && all.iter().any(|one| word.value.eq_ignore_ascii_case(one))
}
