use super::*;

fn told(text: &str) -> String {
    let Sql { classes, tables, opaque, .. } = Sql::read(text);
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

/// Queries that analysts write, in several dialects.
const ORDINARY: &[&str] = &[
    "SELECT count(*), count(DISTINCT user_id) FROM events WHERE created_at >= now() - interval '7 days'",
    "SELECT date_trunc('month', created_at) AS m, sum(total) FROM orders GROUP BY 1 ORDER BY 1",
    "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY a ORDER BY b DESC) rn FROM t) x WHERE rn = 1",
    "SELECT coalesce(nullif(trim(name), ''), 'none') FROM users LIMIT 10",
    "SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) FROM requests",
    "SELECT extract(year FROM at), avg(x) FILTER (WHERE x > 0) FROM t GROUP BY ROLLUP (1)",
    "SELECT data->>'a', data #>> '{b,c}' FROM t",
    "SELECT jsonb_array_elements(items)->>'sku' FROM orders",
    "SELECT u.id, string_agg(t.name, ', ' ORDER BY t.name) FROM u JOIN t USING (id) GROUP BY u.id",
    "SELECT d::date, count(e.id) FROM generate_series('2024-01-01'::date, now(), '1 day') d LEFT JOIN e ON e.day = d GROUP BY 1",
    "SELECT to_char(at, 'YYYY-MM') FROM t WHERE at BETWEEN '2024-01-01' AND CURRENT_DATE",
    "SELECT CASE WHEN a > 1 THEN 'x' ELSE upper(b) END, round(c::numeric, 2) FROM t",
    "WITH a AS (SELECT 1 AS n UNION ALL SELECT 2) SELECT lag(n) OVER (ORDER BY n) FROM a",
    "WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM c WHERE n < 9) SELECT * FROM c",
    "SELECT * FROM t WHERE a ILIKE '%x%' AND b IS NOT NULL AND c IN (1, 2, 3)",
    "SELECT DISTINCT ON (user_id) * FROM logins ORDER BY user_id, at DESC",
    "SELECT pg_size_pretty(pg_total_relation_size('orders'))",
    "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'orders'",
    "SELECT relname, n_live_tup FROM pg_catalog.pg_stat_user_tables ORDER BY 2 DESC",
    "SELECT age(a), make_date(2024, 1, 1), split_part(e, '@', 2) FROM t",
    "SELECT regexp_replace(a, '[^0-9]', '', 'g') FROM t",
    "SELECT a, unnest(tags) FROM t",
    "SELECT ts_rank(v, plainto_tsquery('cat')) FROM d WHERE v @@ plainto_tsquery('cat')",
    "SELECT corr(a, b), stddev(a), variance(b), regr_slope(a, b) FROM t",
    "EXPLAIN ANALYZE SELECT * FROM t WHERE a = 1",
    "SELECT DATE_FORMAT(at, '%Y-%m'), COUNT(*) FROM orders GROUP BY 1",
    "SELECT IFNULL(a, 0), IF(b > 1, 'y', 'n'), GROUP_CONCAT(c) FROM `t` GROUP BY b",
    "SELECT DATE_SUB(NOW(), INTERVAL 1 DAY), CONCAT(a, '-', b), LEFT(c, 3) FROM t",
    "SELECT JSON_EXTRACT(a, '$.b'), JSON_UNQUOTE(a->'$.c') FROM t",
    "SELECT strftime('%Y', at), total(x), instr(a, 'b'), ifnull(c, 0) FROM t",
    "SELECT * FROM json_each('[1,2]')",
    "SELECT name, sql FROM sqlite_master WHERE type = 'table'",
    "SELECT datetime('now', '-1 day'), julianday(a) FROM t",
    "SELECT TOP 10 * FROM [dbo].[Orders] ORDER BY [At] DESC",
    "SELECT DATEADD(day, -1, GETDATE()), DATEDIFF(day, a, b), ISNULL(c, 0), LEN(d) FROM dbo.t",
    "SELECT FORMAT(a, 'N2'), STRING_AGG(b, ','), IIF(c = 1, 'x', 'y') FROM t WITH (NOLOCK) GROUP BY a, c",
    "SELECT value FROM STRING_SPLIT('a,b', ',')",
    "SELECT median(x), list_aggregate(l, 'sum'), epoch(at), strptime(s, '%Y') FROM t",
    "SELECT countIf(a > 1), uniq(b), toStartOfMonth(at) FROM t GROUP BY 3",
    "SELECT APPROX_COUNT_DISTINCT(a), SAFE_DIVIDE(b, c), TIMESTAMP_TRUNC(at, DAY) FROM `p.d.t` GROUP BY 2, 3",
    "SELECT cast(a AS text) || 'x', position('b' IN c), substring(d FROM 2 FOR 3) FROM t",
    "SELECT pg_catalog.lower(a), \"upper\"(b) FROM t -- a comment\nWHERE 'it''s' <> a /* and\nthat */",
    "SELECT E'a\\n', N'b', x'00', date'2024-01-01' FROM t WHERE a <> 'U&''x'",
];

#[test]
fn ordinary_queries_are_read() {
    let told = ORDINARY.iter().filter(|text| {
        let sql = Sql::read(text);
        sql.opaque || sql.classes != [READ.to_owned()].into()
    });
    let wrong: Vec<String> = told.map(|text| format!("{text}\n  {:?}", Sql::read(text))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_function_that_is_not_known_to_compute_only_is_opaque() {
    for (text, name) in [
        ("select ts_stat('select to_tsvector(pg_read_file(''/etc/passwd''))')", "ts_stat"),
        ("select * from ts_stat('select v from salaries')", "ts_stat"),
        ("select ts_rewrite('a'::tsquery, 'select a, b from salaries')", "ts_rewrite"),
        (
            "select schema_to_xml_and_xmlschema('public', true, true, '')",
            "schema_to_xml_and_xmlschema",
        ),
        ("select database_to_xml_and_xmlschema(true, true, '')", "database_to_xml_and_xmlschema"),
        ("select query_to_xml('select 1', true, true, '')", "query_to_xml"),
        ("select cursor_to_xmlschema('c', true, true, '')", "cursor_to_xmlschema"),
        ("select * from crosstab('delete from salaries returning a, b, c')", "crosstab"),
        ("select * from connectby('salaries', 'a', 'b', '1', 0)", "connectby"),
        ("select xpath_table('a', 'b', 'salaries', '/', 'true')", "xpath_table"),
        ("select pg_copy_logical_replication_slot('a', 'b')", "pg_copy_logical_replication_slot"),
        ("select * from pg_hba_file_rules()", "pg_hba_file_rules"),
        ("select pg_stat_statements_reset()", "pg_stat_statements_reset"),
        ("select lowrite(1, 'x')", "lowrite"),
        ("select * from fsdir('/etc')", "fsdir"),
        (
            "select * from fn_xe_file_target_read_file('x', 'y', null, null)",
            "fn_xe_file_target_read_file",
        ),
        (
            "select * from sys.fn_get_audit_file('//evil.example/x/*', default, default)",
            "sys.fn_get_audit_file",
        ),
        ("select * from fn_trace_gettable('//evil/x.trc', default)", "fn_trace_gettable"),
        (
            "select * from sys.dm_os_enumerate_filesystem('/etc', '*')",
            "sys.dm_os_enumerate_filesystem",
        ),
        ("select * from sniff_csv('/etc/passwd')", "sniff_csv"),
        ("select * from query('select * from salaries')", "query"),
        ("select * from query_table('salaries')", "query_table"),
        ("select * from executable('x', 'y')", "executable"),
        ("select * from parquet_schema('x')", "parquet_schema"),
        ("select * from glob('/etc/*')", "glob"),
        ("select dictGet('d', 'salary', 1)", "dictget"),
        ("select current_setting('app.key')", "current_setting"),
        ("select evil.lower(x) from t", "evil.lower"),
        ("select \"LOWER\"(x) from t", "\"lower\""),
        ("select sys.lower(x) from t", "sys.lower"),
        ("select 1 where exists (select 1 from t join lateral leak(1) l on true)", "leak"),
        ("update t set a = leak(b)", "leak"),
        ("select 1 order by leak(1)", "leak"),
        ("select x.leak(1) from t", "x.leak"),
        ("select sum(leak(a)) over (partition by leak(b)) from t", "leak"),
        ("explain analyze select leak(1)", "leak"),
        ("create table x as select leak(1)", "leak"),
        ("insert into t values (leak(1))", "leak"),
    ] {
        let sql = Sql::read(text);
        assert!(sql.opaque && sql.classes.contains(OTHER), "{text}: {sql:?}");
        assert!(sql.unknown.contains(name), "{text}: {sql:?}");
    }
}

#[test]
fn what_stands_for_a_table_and_is_none_of_the_database_is_opaque() {
    for text in [
        "select * from linked.db.dbo.salaries",
        "select * from '/etc/passwd'",
        "select * from \"data.csv\"",
        "select * from data.csv",
        "select * from `x.parquet`",
        "select data from fsdir where path = '/etc/passwd'",
        "select * from pg_hba_file_rules",
        "select * from pg_catalog.pg_file_settings",
        "select * from \"http://evil.example/x\"",
        "select * from t@elsewhere",
        "select @a := 1",
        "select 1 operator(evil.+) 2",
    ] {
        assert!(Sql::read(text).opaque, "{text}: {}", told(text));
        assert!(Sql::read(text).classes.contains(OTHER), "{text}: {}", told(text));
    }
}

#[test]
fn names_texts_and_comments_with_rules_of_their_own_are_opaque() {
    for text in [
        "select u&\"pg\\005fread_file\"('/etc/passwd')",
        "select U&\"pg!005fls_dir\" UESCAPE '!' ('/etc')",
        "select * from a, u&\"b\" where 1 = 1",
        "select U&'x'",
        "select q'[it's]' from t",
        "select nq'[it's]' from t",
        "select r'\\' from t --'",
        "select _utf8'x'",
        "select _gbk'x'",
        "select 1 --\u{a0}1\n, load_file('x')",
        "select 1\u{2028}, 2",
        "select 1\u{a0}, 2",
        "select a\u{200b}b from t",
        "select * from \u{ff53}alaries",
        "select * from \"\u{ff53}alaries\"",
        "select * from \u{17f}alaries",
        "select 1 # '\n, load_file('x') -- '",
        "select 1 # /*\n, 2 -- */",
        "select (data # '{b}') \n from t",
        "select $\u{20ac}$; drop table t; $\u{20ac}$",
        "select `a'; drop table t; -- ` from t",
        "select [a -- ]\n b]",
        "select [a]]b] from t",
        "select 1 /*T! , load_file('x') */",
        "select 1 /*+ SET_VAR(sql_mode = 'ANSI_QUOTES') */",
        "select 1 \\! id",
        "select 'a",
        "select \"a",
        "select 1 from t \\gexec",
    ] {
        assert_eq!(told(text), "other [] opaque", "{text:?}");
    }
    // What stands in a text, everybody reads alike.
    for text in ["select 'u&\"a\"'", "select '# [ q\u{a0}'\nfrom t", "select 'a # b' -- it's [so\n"]
    {
        assert!(!Sql::read(text).opaque, "{text:?}");
    }
}

#[test]
fn what_is_a_statement_of_its_own_for_sql_server_and_an_alias_elsewhere_is_opaque() {
    for text in [
        "select 1 delete from t",
        "select 1 delete from t where id = 1",
        "select top 1 x delete from t",
        "select * from t shutdown",
        "select 1 shutdown",
        "select 'a' reconfigure",
        "select 1 commit",
        "select * from t exec(\"drop table x\")",
        "select * from t where a is null rollback",
        "select a from t order by a desc checkpoint",
        "update t set a = 1 shutdown",
        "delete from t shutdown",
    ] {
        let told = told(text);
        assert!(told.contains(OTHER) && told.ends_with(" opaque"), "{text}: {told}");
    }
    for text in [
        "select open, close from prices p where p.open > p.close",
        "select a \"delete\" from t",
        "select a as [delete] from t",
        "select * from t use index (a)",
        "select 'a delete from t'",
        "with x as (select 1) delete from t",
        "insert into t (a) values (1) on conflict (a) do update set a = 2",
        "insert into t (a) values (1) on duplicate key update a = 2",
        "merge into t using s on t.a = s.a when matched then delete",
        "explain analyze delete from t",
        "show create table t",
    ] {
        let told = told(text);
        assert!(!told.contains(OTHER) && !told.contains("opaque"), "{text}: {told}");
    }
}
