use super::*;

fn told(text: &str) -> String {
    let Sql { classes, tables, opaque } = Sql::read(text);
    let join = |all: BTreeSet<String>| all.into_iter().collect::<Vec<_>>().join(",");
    format!("{} [{}]{}", join(classes), join(tables), if opaque { " opaque" } else { "" })
}

#[test]
fn statements_that_only_look_are_read() {
    for (text, expected) in [
        ("select * from Orders o join app.users u on u.id = o.by", "read [app.users,orders,users]"),
        ("SELECT count(*) FROM t WHERE a LIKE 'x%' -- only so\nORDER BY 1", "read [t]"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "read [x]"),
        ("SELECT 'DROP TABLE t; -- '", "read []"),
        ("SELECT a /* b */ FROM t", "read [t]"),
        ("EXPLAIN SELECT 1", "read []"),
        ("SHOW TABLES", "read []"),
        ("PRAGMA table_info('t')", "read []"),
        ("SELECT `a` FROM `t`", "read [t]"),
        ("SELECT [a b] FROM [t]", "read [t]"),
        ("SELECT a->>'b', $1::int FROM t", "read [t]"),
        ("VALUES (1)", "read []"),
        ("COPY t TO STDOUT", "read [t]"),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn the_strictest_class_of_all_statements_is_among_them() {
    for (text, class) in [
        ("SELECT 1; DELETE FROM t", WRITE),
        ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", WRITE),
        ("WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x", WRITE),
        ("SELECT * INTO copy FROM t", WRITE),
        ("SELECT * FROM t INTO OUTFILE '/tmp/x'", OTHER),
        ("UPDATE t SET a = 1", WRITE),
        ("REPLACE INTO t VALUES (1)", WRITE),
        ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", WRITE),
        ("EXPLAIN ANALYZE DELETE FROM t", WRITE),
        ("EXPLAIN (ANALYZE) DELETE FROM t", WRITE),
        ("TRUNCATE t", DDL),
        ("DROP TABLE t", DDL),
        ("SELECT 1; END; DROP TABLE t", DDL),
        ("CREATE TABLE x AS SELECT * FROM t", DDL),
        ("ALTER TABLE t ADD COLUMN a int", DDL),
        ("CREATE FUNCTION f() RETURNS int AS 'select 1' LANGUAGE sql", OTHER),
        ("GRANT ALL ON t TO public", OTHER),
        ("COPY t TO PROGRAM 'curl x'", OTHER),
        ("COPY t FROM '/etc/passwd'", OTHER),
        ("ATTACH DATABASE '/tmp/x' AS y", OTHER),
        ("PRAGMA writable_schema = 1", OTHER),
        ("PRAGMA journal_mode(delete)", OTHER),
        ("VACUUM INTO '/tmp/x'", OTHER),
        ("SET ROLE postgres", OTHER),
        ("CALL p()", OTHER),
        ("EXEC xp_cmdshell 'dir'", OTHER),
        ("DO 'begin end'", OTHER),
        ("SELECT pg_read_file('/etc/passwd')", OTHER),
        ("SELECT pg_catalog.PG_SLEEP(10)", OTHER),
        ("SELECT load_extension('x')", OTHER),
        ("SELECT \"lo_export\"(1, '/tmp/x')", OTHER),
        ("SELECT 1 FROM t WHERE sleep(5) = 0", OTHER),
        ("SELECT * FROM dblink('x', 'y') AS t(a int)", OTHER),
        ("SELECT * FROM read_csv('/etc/passwd')", OTHER),
        ("SELECT * FROM '/etc/passwd'", OTHER),
        ("SELECT * FROM t FOR UPDATE", OTHER),
        ("LOCK TABLE t", OTHER),
        ("SELECT nextval('s')", OTHER),
        ("LOAD DATA INFILE '/etc/passwd' INTO TABLE t", OTHER),
    ] {
        assert!(Sql::read(text).classes.contains(class), "{text}: {}", told(text));
    }
}

#[test]
fn what_databases_read_otherwise_than_each_other_is_opaque() {
    for text in [
        "SELECT 1 /*!50000 ; DROP TABLE t */",
        "SELECT 1 /* a /* b */ ; DROP TABLE t -- */",
        "SELECT 1 /* a",
        "SELECT 1 --1; DROP TABLE t",
        r"SELECT '\'; DROP TABLE t; -- '",
        r"SELECT '\'; DROP TABLE t; garbage '",
        "SELECT $$; DROP TABLE t; $$",
        "SELECT $a$; DROP TABLE t; $a$",
        "SELECT [a']; DROP TABLE t; SELECT '",
        "SELECT 1; --\rDROP TABLE t",
        "SELECT 1\0; DROP TABLE t",
        "SELEC 1",
        "SELECT a FROM t\nEND\n; DROP TABLE t",
        "run this please",
    ] {
        assert_eq!(told(text), "other [] opaque", "{text:?}");
    }
    assert!(Sql::read(&"a".repeat(SQL_BYTES_MAX + 1)).opaque);
}

#[test]
fn deep_and_long_statements_end() {
    for text in [
        format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("SELECT 1{}", "+1".repeat(15_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(2_000)),
        format!("SELECT {}1", "NOT ".repeat(7_000)),
        format!("SELECT {}1", "- ".repeat(15_000)),
    ] {
        let _ = Sql::read(&text);
    }
    assert_eq!(told(""), "other []");
    assert_eq!(told(";;"), "other []");
    assert_eq!(told("-- nothing"), "other []");
}
