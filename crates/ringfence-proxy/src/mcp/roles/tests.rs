use std::fmt::Write as _;

use serde_json::json;

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "it reads better in tests")]
fn proposed(tool: &str, description: &str, properties: Value) -> Vec<String> {
    let schema = json!({"type": "object", "properties": properties});
    listed(&propose(tool, description, &schema))
}

fn listed(roles: &Roles) -> Vec<String> {
    let told = roles.iter().filter(|(_, role)| **role != ArgumentRole::None);
    told.map(|(place, role)| format!("{place}: {role}")).collect()
}

/// What each text of a call is for, in the order of the arguments.
fn looked_at(
    schema: &Value,
    pinned: &[(&str, &str)],
    arguments: &Value,
) -> Result<Vec<String>, String> {
    let pinned = pinned.iter().map(|(place, role)| (place.parse().unwrap(), role.parse().unwrap()));
    let plan = RolePlan::new("write_thing", "", schema, &pinned.collect());
    let (mut seen, mut sent) = (Vec::new(), arguments.clone());
    let mut with = |it: Text<'_>| {
        seen.push(format!("{}: {}", it.role, it.text));
        Ok(it.text.to_owned())
    };
    plan.apply(&mut sent, &mut with).map_err(|error| error.to_string())?;
    assert_eq!(sent, *arguments);
    Ok(seen)
}

#[test]
fn paths_are_read_written_or_removed_by_what_the_tool_does() {
    let text = json!({"type": "string"});
    let of =
        |tool: &str| proposed(tool, "", json!({"path": text.clone(), "head": {"type": "number"}}));
    for tool in ["read_text_file", "list_directory", "getFileInfo", "search-files", "git_status"] {
        assert_eq!(of(tool), ["path: read-path"], "{tool}");
    }
    for tool in
        ["write_file", "createDirectory", "edit_file", "frobnicate", "read_or_write", "git_commit"]
    {
        assert_eq!(of(tool), ["path: write-path"], "{tool}");
    }
    assert_eq!(of("delete_file"), ["path: delete-path"]);
    let two = json!({"source": text.clone(), "destination": text.clone()});
    assert_eq!(
        proposed("move_file", "", two.clone()),
        ["destination: write-path", "source: delete-path"]
    );
    assert_eq!(
        proposed("copy_file", "", two.clone()),
        ["destination: write-path", "source: read-path"]
    );
    // About something else than files: they are some where they look like it.
    assert_eq!(
        proposed("translate", "from one language into another", two),
        ["destination: by-name", "source: by-name"]
    );
    let all = json!({"paths": {"type": "array", "items": text.clone()}, "repo_path": text});
    assert_eq!(
        proposed("read_multiple_files", "", all),
        ["paths[]: read-path", "repo_path: read-path"]
    );
}

#[test]
fn what_a_server_says_of_a_tool_makes_nothing_weaker() {
    let path = json!({"path": {"type": "string", "description": "only ever read"}});
    assert_eq!(
        proposed("write_file", "This tool only reads. Read, get, list.", path),
        ["path: write-path"]
    );
    let described = |text: &str| json!({"x": {"type": "string", "description": text}});
    for (text, role) in [
        ("The path to the Git repository.", "x: write-path"),
        ("Absolute path of a file", "x: write-path"),
        ("A list of URLs to fetch", "x: url"),
    ] {
        assert_eq!(proposed("frobnicate", "", described(text)), [role], "{text}");
    }
    for text in ["Text for the file at this path", "What to write", ""] {
        assert_eq!(proposed("frobnicate", "", described(text)), [] as [&str; 0], "{text}");
    }
}

#[test]
fn addresses_mail_statements_and_commands_are_known() {
    let text = json!({"type": "string"});
    let uri = json!({"type": "string", "format": "uri"});
    assert_eq!(proposed("fetch", "", json!({"url": uri.clone()})), ["url: url"]);
    assert_eq!(proposed("x", "", json!({"callback": uri})), ["callback: url"]);
    assert_eq!(proposed("ping", "", json!({"hostname": text.clone()})), ["hostname: host"]);
    let mail = json!({"to": {"type": "array", "items": text.clone()}, "body": text.clone()});
    assert_eq!(proposed("send_email", "", mail), ["to[]: email"]);
    assert_eq!(proposed("route", "", json!({"to": text.clone()})), [] as [&str; 0]);
    let query = json!({"query": text.clone()});
    assert_eq!(proposed("query", "Run a SELECT on the database", query.clone()), ["query: sql"]);
    assert_eq!(proposed("search", "Search the web", query), [] as [&str; 0]);
    assert_eq!(proposed("run", "", json!({"command": text.clone()})), ["command: command"]);
    for name in ["file_type", "url_count", "email_subject", "file_content"] {
        assert_eq!(proposed("write_file", "", json!({name: text.clone()})), [] as [&str; 0]);
    }
}

#[test]
fn a_repository_that_is_named_by_its_owner_is_no_path_and_nor_is_what_lies_in_it() {
    let text = json!({"type": "string"});
    let there = json!({"owner": text.clone(), "repo": text.clone(), "path": text.clone()});
    assert_eq!(proposed("get_file_contents", "", there), [] as [&str; 0]);
    let here = json!({"repo": text.clone(), "path": text.clone()});
    assert_eq!(proposed("get_file", "", here), ["path: read-path", "repo: read-path"]);
    let address = json!({"owner": text.clone(), "repo": text.clone(), "url": text.clone()});
    assert_eq!(proposed("get_file", "", address), ["url: url"]);
}

#[test]
fn roles_are_found_wherever_a_schema_lets_a_text_stand() {
    let schema = json!({
        "type": "object",
        "properties": {
            "edits": {"type": "array", "items": {"$ref": "#/$defs/edit"}},
            "options": {"type": "object", "properties": {"maybeFile": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "object", "properties": {"path": {"type": "string"}}}], "items": false},
            "files": {"type": "object", "additionalProperties": {"type": "string"}},
            "dirs": {"type": "object", "patternProperties": {"^x": {"type": "string"}}, "additionalProperties": false},
            "with.dot": {"type": "object", "properties": {"url[]": {"type": "string"}}},
            "sort": {"enum": ["by-path", "by-name"]},
            "path_kind": {"const": "x"},
            "anything": {},
        },
        "allOf": [
            {"properties": {"all_path": {"type": "string"}}},
            {"if": {"properties": {"a": {"const": 1}}}, "then": {"properties": {"then_url": {"type": "string"}}}, "else": {"required": ["a"]}},
        ],
        "dependentSchemas": {"a": {"properties": {"host": {"type": "string"}}}},
        "$defs": {"edit": {"oneOf": [{"type": "object", "properties": {"file": {"type": "string"}}}, {"type": "string"}]}},
    });
    let roles = propose("edit", "", &schema);
    assert_eq!(
        listed(&roles),
        [
            "all_path: write-path",
            "anything.**: by-name",
            "dirs.*: write-path",
            "dirs{}: write-path",
            "edits[].file: write-path",
            "files.*: write-path",
            "files{}: write-path",
            "host: host",
            "options.maybeFile: write-path",
            "pair[].path: write-path",
            "then_url: url",
            r"with\.dot.url\[]: url",
        ]
    );
    assert_eq!(roles.get(&"edits[]".parse().unwrap()), Some(&ArgumentRole::None));
    for place in roles.keys() {
        assert_eq!(place.to_string().parse::<Place>().as_ref(), Ok(place));
    }
    let arguments = json!({
        "edits": [{"file": "a"}, "free", {}], "options": {"maybeFile": null}, "pair": [1, {"path": "b"}],
        "files": {"k": "v"}, "with.dot": {"url[]": "c"}, "all_path": "d", "then_url": "e", "sort": "by-path",
        "anything": {"deep": [{"path": "f", "other": "g"}], "n": 1},
    });
    let mut seen = looked_at(&schema, &[], &arguments).unwrap();
    seen.sort();
    assert_eq!(
        seen,
        [
            "url: c",
            "url: e",
            "write-path: a",
            "write-path: b",
            "write-path: d",
            "write-path: f",
            "write-path: k",
            "write-path: v",
        ]
    );
}

#[test]
fn a_text_that_nothing_leads_to_is_refused() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}});
    for (arguments, place) in [
        (json!({"b": "x"}), "b"),
        (json!({"a": "x"}), "a"),
        (json!({"a": ["x"]}), "a[]"),
        (json!({"a": {"x": 1}}), "a.x"),
    ] {
        let why = looked_at(&schema, &[], &arguments).unwrap_err();
        assert!(why.starts_with(&format!("`{place}`: what a text there is for")), "{why}");
    }
    assert_eq!(looked_at(&schema, &[], &json!({"a": [1, null]})).unwrap(), [] as [&str; 0]);
    let path = json!({"type": "object", "properties": {"path": {"type": ["string", "number"]}}});
    assert!(looked_at(&path, &[], &json!({"path": 1})).unwrap_err().contains("no text"));
}

#[test]
fn a_person_has_the_last_word_on_every_place() {
    let schema = json!({"type": "object", "properties": {
        "path": {"type": "string"}, "x": {"type": "string"}, "any": {"type": "object"},
    }});
    let arguments = json!({"path": "p", "x": "q", "any": {"url": "r", "s": "t"}});
    let seen = looked_at(&schema, &[], &arguments).unwrap();
    assert_eq!(seen, ["write-path: p", "url: r"]);
    let pinned = [("path", "none"), ("x", "read-path"), ("any.**", "none"), ("any.s", "host")];
    assert_eq!(looked_at(&schema, &pinned, &arguments).unwrap(), ["read-path: q", "host: t"]);
}

#[test]
fn where_a_role_is_a_guess_nothing_is_put_in_the_place_of_a_text() {
    let schema = json!({"type": "object", "properties": {"any": {}, "path": {"type": "string"}}});
    let plan = RolePlan::new("write", "", &schema, &Roles::new());
    let mut with = |it: Text<'_>| Ok(format!("/real/{}", it.text));
    let mut sent = json!({"path": "a"});
    plan.apply(&mut sent, &mut with).unwrap();
    assert_eq!(sent, json!({"path": "/real/a"}));
    let why = plan.apply(&mut json!({"any": {"file": "a"}}), &mut with).unwrap_err();
    assert_eq!(why, RoleError::Otherwise("any.file".to_owned(), "/real/a".to_owned()));
}

#[test]
fn schemas_without_end_are_taken_whole() {
    let many: serde_json::Map<String, Value> =
        (0..256).map(|number| (format!("a{number}"), json!({"$ref": "#"}))).collect();
    for schema in [
        json!({"type": "object", "properties": many}),
        json!({"type": "object", "properties": {"path": {"$ref": "#/properties/path"}}}),
        json!({"type": "object", "properties": {"n": {"$ref": "#"}, "path": {"type": "string"}}}),
    ] {
        let roles = propose("read", "", &schema);
        assert!(roles.len() <= 257, "{roles:?}");
        let arguments = json!({"n": {"n": {"n": {"path": "x"}}}, "path": "y"});
        if roles.contains_key(&"n.n.path".parse().unwrap()) {
            assert_eq!(looked_at(&schema, &[], &arguments).unwrap().len(), 2, "{schema}");
        }
    }
}

#[test]
fn what_is_no_place_is_refused() {
    for text in ["", "a.", ".a", "a..b", "a[", "a*", "a.**.b", "a{}.b", "{x"] {
        assert!(text.parse::<Place>().is_err(), "{text}");
    }
    for text in [
        "a", "a.b[].c", "a.*", "a.*[]", "a{}", "**", "*.**", r"a\.b", r"\e", r"\e.\*", "a[][]",
        "{}",
    ] {
        assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
    }
}

/// The tools of servers that people use, as they say of them themselves.
#[test]
fn the_arguments_of_real_servers_have_the_roles_that_a_person_would_give_them() {
    let tools: Value = serde_json::from_str(include_str!("real-tools.json")).unwrap();
    let mut told = String::new();
    for (server, tools) in tools.as_object().unwrap() {
        for tool in tools.as_array().unwrap() {
            let text = |key: &str| tool[key].as_str().unwrap_or_default();
            for (place, role) in propose(text("name"), text("description"), &tool["inputSchema"]) {
                writeln!(told, "{server}/{} {place}: {role}", text("name")).unwrap();
            }
        }
    }
    expect_test::expect_file!["real-roles.txt"].assert_eq(&told);
}

#[test]
fn a_text_that_looks_like_a_path_is_one_where_its_name_may_be_that_of_a_place() {
    let text = json!({"type": "string"});
    let names = [
        "src",
        "dest",
        "destination",
        "source",
        "image",
        "db",
        "database",
        "code",
        "expression",
        "callback",
        "workspace",
        "remote",
        "root",
        "target",
        "input",
        "output",
        "attachment",
        "template",
        "config",
    ];
    for name in names {
        let of = json!({name: text.clone(), "args": {"type": "array", "items": text.clone()}});
        let schema = json!({"type": "object", "properties": of});
        let looked = |value: &str| {
            let plan = RolePlan::new("odd", "", &schema, &Roles::new());
            let mut seen = Vec::new();
            let mut with = |it: Text<'_>| {
                seen.push(it.role);
                Ok(it.text.to_owned())
            };
            plan.apply(&mut json!({name: value, "args": [value]}), &mut with).unwrap();
            seen
        };
        for value in ["/etc/shadow", "~/.ssh/id_rsa", "../x"] {
            assert_eq!(looked(value), [ArgumentRole::WritePath; 2], "{name}: {value}");
        }
        for value in ["https://evil.example/", "file:///etc/shadow", "FILE:/etc/shadow", "ftp://x/"]
        {
            assert_eq!(looked(value), [ArgumentRole::Url; 2], "{name}: {value}");
        }
        for value in ["", "main", "some words", "a/b", "// a comment", "/* another */ 1", "1 / 2"] {
            assert_eq!(looked(value), [], "{name}: {value}");
        }
    }
    // A person has the last word.
    let schema = json!({"type": "object", "properties": {"src": text}});
    let said = looked_at(&schema, &[("src", "none")], &json!({"src": "/etc/shadow"}));
    assert_eq!(said.unwrap(), [] as [&str; 0]);
    // Qualities of such things are none.
    let quality = json!({"source_type": {"type": "string"}, "title": {"type": "string"}});
    assert_eq!(proposed("odd", "", quality), [] as [&str; 0]);
}

#[test]
fn what_the_caller_names_itself_is_decided_where_it_looks_like_a_place() {
    let open = json!({"type": "object", "properties": {"note": {"type": "string"}}, "additionalProperties": true});
    for (arguments, expected) in [
        (json!({"zz": "/etc/shadow"}), &["write-path: /etc/shadow"][..]),
        (json!({"zz": ["x", "~/.ssh/id_rsa"]}), &["write-path: ~/.ssh/id_rsa"]),
        (json!({"zz": {"y": {"x": "../../keys"}}}), &["write-path: ../../keys"]),
        (json!({"zz": "file:///etc/shadow"}), &["url: file:///etc/shadow"]),
        (json!({"zz": "http://evil.example/"}), &["url: http://evil.example/"]),
        (json!({"zz": "a text / with a stroke", "note": "/etc/shadow"}), &[]),
        (json!({"zz": "// a comment"}), &[]),
    ] {
        assert_eq!(looked_at(&open, &[], &arguments).unwrap(), expected, "{arguments}");
    }
    // Unless a person says what such arguments are for.
    let pinned = [("*", "none"), ("{}", "none")];
    assert!(looked_at(&open, &pinned, &json!({"zz": "/etc/shadow"})).unwrap().is_empty());
    // A map that has a name of its own holds what its caller means to keep.
    let map = json!({"type": "object", "properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}}});
    assert!(looked_at(&map, &[], &json!({"labels": {"zz": "/v1/users"}})).unwrap().is_empty());
}
