//! What addresses mean, and what is left of lists.

use ringfence_core::{Ecosystem, Endpoint, Scheme, UrlPath};

use super::*;

fn at(ecosystem: Ecosystem) -> Registries {
    let lists = "https://packages.test/repo/".parse().unwrap();
    let files = vec!["https://files.test/".parse().unwrap()];
    Registries::new(vec![Registry { ecosystem, lists, files }])
}

fn wanted(ecosystem: Ecosystem, path: &str) -> String {
    wanted_at(ecosystem, "packages.test:443", &format!("/repo{path}"))
}

fn wanted_at(ecosystem: Ecosystem, endpoint: &str, path: &str) -> String {
    let endpoint: Endpoint = endpoint.parse().unwrap();
    let registries = at(ecosystem);
    let Some(meant) = registries.meant(&endpoint, &UrlPath::parse(path).unwrap()) else {
        return "elsewhere".to_owned();
    };
    let what = match meant.wanted {
        Wanted::List(name) => format!("list {name}"),
        Wanted::Release(package) => format!("{} {}", package.name, package.version),
        Wanted::Unknown => "unknown".to_owned(),
        Wanted::Other => "other".to_owned(),
    };
    match meant.sure {
        Sure::Yes => what,
        Sure::IfListed => format!("{what}, if listed"),
    }
}

#[test]
fn addresses_of_npm_say_what_they_are_for() {
    for (path, expected) in [
        ("/left-pad", "list left-pad"),
        ("/Left-Pad", "list left-pad"),
        ("/@acme%2Ftool", "list @acme/tool"),
        ("/@acme/tool", "list @acme/tool"),
        ("/left-pad/-/left-pad-1.3.0.tgz", "left-pad 1.3.0"),
        ("/@acme/tool/-/tool-2.0.0-rc.1.tgz", "@acme/tool 2.0.0-rc.1"),
        ("/@acme%2Ftool/-/tool-2.0.0.tgz", "@acme/tool 2.0.0"),
        // Another package's file beneath a name that is allowed.
        ("/left-pad/-/evil-1.0.0.tgz", "unknown"),
        ("/left-pad/-/sub/evil-1.0.0.tgz", "unknown"),
        ("/download/left-pad/1.0.0/0123.tgz", "unknown"),
        ("/x/y.TGZ", "unknown"),
        ("/-/v1/search", "other"),
        ("/left-pad/1.3.0", "other"),
    ] {
        assert_eq!(wanted(Ecosystem::Npm, path), expected, "{path}");
    }
    assert_eq!(wanted_at(Ecosystem::Npm, "packages.test:8443", "/repo/a"), "elsewhere");
    // Beside the registry somebody else may put files.
    for (path, expected) in [
        ("/repository/a", "other, if listed"),
        ("/a/-/a-1.0.0.tgz", "a 1.0.0, if listed"),
        ("/uploads/x.tgz", "unknown, if listed"),
    ] {
        assert_eq!(wanted_at(Ecosystem::Npm, "packages.test:443", path), expected);
    }
    assert_eq!(wanted_at(Ecosystem::Npm, "files.test:443", "/a"), "other");
    assert_eq!(wanted_at(Ecosystem::Npm, "files.test:443", "/a/-/a-1.0.0.tgz"), "a 1.0.0");
}

#[test]
fn addresses_of_pypi_say_what_they_are_for() {
    for (path, expected) in [
        ("/Zope.Interface/", "list zope-interface"),
        ("/flask", "list flask"),
        ("/a/b/Flask-3.0.0-py3-none-any.whl", "flask 3.0.0"),
        ("/a/b/Flask-3.0.0-1-py3-none-any.whl", "flask 3.0.0"),
        ("/a/b/flask_login-0.6.3.tar.gz", "flask-login 0.6.3"),
        ("/a/b/flask-3.0.0-py3-none-any.whl.metadata", "flask 3.0.0"),
        // Before PEP 625: `requests-2x` 1.0, or `requests` 2x-1.0?
        ("/a/b/requests-2x-1.0.tar.gz", "unknown"),
        ("/a/b/nothing.zip", "unknown"),
        ("/a/b/x.WHL", "unknown"),
        ("/a/b/", "other"),
    ] {
        assert_eq!(wanted(Ecosystem::Pypi, path), expected, "{path}");
    }
}

#[test]
fn addresses_of_cargo_say_what_they_are_for() {
    for (path, expected) in [
        ("/config.json", "other"),
        ("/1/a", "list a"),
        ("/3/s/syn", "list syn"),
        ("/se/rd/serde_json", "list serde-json"),
        ("/xx/rd/serde_json", "other"),
        ("/api/v1/crates/serde_json/1.0.0/download", "serde-json 1.0.0"),
        ("/serde_json-1.0.0-rc.1.crate", "serde-json 1.0.0-rc.1"),
        ("/foo-1-0.1.0.crate", "foo-1 0.1.0"),
        ("/nothing.crate", "unknown"),
    ] {
        assert_eq!(wanted(Ecosystem::Cargo, path), expected, "{path}");
    }
}

#[test]
fn addresses_of_debian_say_what_they_are_for() {
    for (path, expected) in [
        ("/dists/stable/InRelease", "other"),
        ("/pool/main/c/curl/curl_7.88.1-10_amd64.deb", "curl 7.88.1-10"),
        ("/pool/main/c/curl/curl-udeb_7.88.1-10_amd64.udeb", "curl-udeb 7.88.1-10"),
        ("/pool/odd.deb", "unknown"),
        ("/pool/a_b_c_d.DEB", "unknown"),
    ] {
        assert_eq!(wanted(Ecosystem::Debian, path), expected, "{path}");
    }
}

/// Filters, keeping what is older than 1 January 2026; says what went and what is left.
fn without_young(ecosystem: Ecosystem, name: &str, list: (&str, &str)) -> (Vec<String>, String) {
    let limit = moment("2026-01-01T00:00:00Z").unwrap();
    let mut keep = |listed: &Listed| {
        if listed.at_ms.is_some_and(|at| at < limit) { Keep::Yes } else { Keep::No }
    };
    let (content_type, body) = list;
    let body = (content_type, body.as_bytes());
    let filtered = filter((ecosystem, name), body, &mut keep).unwrap();
    (filtered.removed, String::from_utf8(filtered.body).unwrap())
}

#[test]
fn a_young_version_goes_from_the_list_of_npm_and_latest_is_the_newest_that_stays() {
    let list = r#"{"name":"a","dist-tags":{"latest":"1.10.0","next":"2.0.0-rc.1","old":"1.2.0"},
        "versions":{"1.2.0":{"dist":{"tarball":"https://packages.test/repo/a/-/a-1.2.0.tgz"}},
          "1.9.0":{},"1.10.0":{},"2.0.0-rc.1":{},"3.0.0":{}},
        "time":{"created":"2020-01-01T00:00:00.000Z","1.2.0":"2021-01-01T00:00:00.000Z",
          "1.9.0":"2022-01-01T00:00:00.000Z","1.10.0":"2026-11-20T00:00:00.000Z",
          "2.0.0-rc.1":"2023-01-01T00:00:00.000Z"}}"#;
    let (removed, left) = without_young(Ecosystem::Npm, "a", ("application/json", list));
    // That of 3.0.0 is not known.
    assert_eq!(removed, ["1.10.0", "3.0.0"]);
    let left: serde_json::Value = serde_json::from_str(&left).unwrap();
    assert_eq!(left["dist-tags"]["latest"], "1.9.0");
    assert_eq!(left["dist-tags"]["old"], "1.2.0");
    assert_eq!(left["versions"].as_object().unwrap().len(), 3);
    assert!(left["time"].get("1.10.0").is_none());
}

#[test]
fn a_list_that_is_of_another_package_or_none_is_not_passed_on() {
    let mut all = |_: &Listed| Keep::Yes;
    for (ecosystem, content_type, body) in [
        (Ecosystem::Npm, "application/json", r#"{"name":"evil","versions":{}}"#),
        (Ecosystem::Npm, "application/json", r#"{"name":"a"}"#),
        (Ecosystem::Npm, "application/json", "["),
        (Ecosystem::Pypi, pypi::JSON, r#"{"name":"evil","files":[]}"#),
        (Ecosystem::Pypi, "image/png", "x"),
        (Ecosystem::Pypi, "text/html", "<a href='x'>"),
        (Ecosystem::Pypi, "text/html", "<a>x</a>"),
        (Ecosystem::Cargo, "text/plain", r#"{"name":"evil","vers":"1.0.0"}"#),
        (Ecosystem::Cargo, "text/plain", "no"),
        (Ecosystem::Debian, "text/plain", ""),
    ] {
        let filtered = filter((ecosystem, "a"), (content_type, body.as_bytes()), &mut all);
        assert!(filtered.is_err(), "{body}: {filtered:?}");
    }
}

#[test]
fn young_files_go_from_the_list_of_a_python_project() {
    let list = r#"{"name":"Foo.Bar","versions":["1.0","1.1"],"files":[
        {"filename":"foo_bar-1.0.tar.gz","url":"../f/foo_bar-1.0.tar.gz","upload-time":"2025-01-01T00:00:00Z"},
        {"filename":"foo_bar-1.1.tar.gz","url":"u","upload-time":"2026-11-20T00:00:00.123Z"},
        {"filename":"foo_bar-1.1-py3-none-any.whl","url":"u"}]}"#;
    let (removed, left) = without_young(Ecosystem::Pypi, "foo-bar", (pypi::JSON, list));
    assert_eq!(removed, ["1.1"]);
    let left: serde_json::Value = serde_json::from_str(&left).unwrap();
    assert_eq!(left["files"].as_array().unwrap().len(), 1);
    assert_eq!(left["versions"], serde_json::json!(["1.0"]));
}

#[test]
fn anchors_go_from_a_python_project_s_page() {
    let page = "<html><body>\n<a href=\"/f/a-1.0.tar.gz#sha256=00\">a-1.0.tar.gz</a><br>\n\
                <A HREF='a-b-2.0.zip' data-x=\">=3\">old</A>\n</body></html>";
    let mut keep = |listed: &Listed| if listed.version == "1.0" { Keep::No } else { Keep::Yes };
    let body = ("text/html; charset=utf-8", page.as_bytes());
    let filtered = filter((Ecosystem::Pypi, "a"), body, &mut keep).unwrap();
    let left = String::from_utf8(filtered.body).unwrap();
    assert_eq!(filtered.removed, ["1.0"]);
    assert!(!left.contains("a-1.0") && left.contains("a-b-2.0.zip"), "{left}");
    assert!(left.ends_with("</body></html>"), "{left}");
}

#[test]
fn young_lines_go_from_the_index_of_a_crate() {
    let index = "{\"name\":\"serde_json\",\"vers\":\"1.0.0\",\"pubtime\":\"2025-01-01T00:00:00Z\"}\n\
                 {\"name\":\"serde_json\",\"vers\":\"1.0.1\",\"pubtime\":\"2026-11-20T00:00:00Z\"}\n\
                 {\"name\":\"serde_json\",\"vers\":\"1.0.2\"}\n";
    let (removed, left) = without_young(Ecosystem::Cargo, "serde-json", ("text/plain", index));
    assert_eq!(removed, ["1.0.1", "1.0.2"]);
    assert_eq!(left.lines().count(), 1);
}

#[test]
fn lists_are_where_package_managers_look_for_them() {
    for (ecosystem, name, expected) in [
        (Ecosystem::Npm, "@acme/tool", &["/repo/@acme%2Ftool"][..]),
        (Ecosystem::Pypi, "zope-interface", &["/repo/zope-interface/"]),
        (Ecosystem::Cargo, "a-b", &["/repo/3/a/a-b", "/repo/3/a/a_b"]),
        (Ecosystem::Cargo, "serde", &["/repo/se/rd/serde"]),
        (Ecosystem::Debian, "curl", &[]),
    ] {
        let registries = at(ecosystem);
        let endpoint: Endpoint = "packages.test:443".parse().unwrap();
        let place = UrlPath::parse("/repo/x").unwrap();
        let registry = registries.meant(&endpoint, &place).unwrap().registry.clone();
        assert_eq!(registry.list_paths(name), expected, "{name}");
    }
}

#[test]
fn what_lists_have_told_names_files_and_ages() {
    let published = Published::default();
    let endpoint: Endpoint = "packages.test:443".parse().unwrap();
    let place = (&endpoint, Scheme::Https, "/repo/simple/requests/");
    for (version, file) in [
        ("2x-1.0", "../../f/requests-2x-1.0.tar.gz#sha"),
        ("2.0", "https://files.test/x/y.zip"),
        ("3.0", "//files.test/get?file=3"),
    ] {
        let (endpoint, _, target) = resolve(file, place).unwrap();
        let package = release(Ecosystem::Pypi, "requests", version);
        published.learn(&package, Some(1_000), Some((&endpoint, &target)));
    }
    let files: Endpoint = "files.test:443".parse().unwrap();
    let version = |at: (&Endpoint, &str)| published.at(at).map(|package| package.version);
    assert_eq!(version((&endpoint, "/repo/f/requests-2x-1.0.tar.gz")), Some("2x-1.0".to_owned()));
    assert_eq!(version((&files, "/x/y.zip")), Some("2.0".to_owned()));
    assert_eq!(version((&files, "/get?file=3")), Some("3.0".to_owned()));
    assert_eq!(version((&files, "/get?file=4")), None);
    let package = published.at((&files, "/x/y.zip")).unwrap();
    assert_eq!(published.time_of(&package).age_hours(7_201_000), 2);
    assert_eq!(Times::Unknown.age_hours(7_201_000), 0);
    assert_eq!(Times::At(9_000_000).age_hours(1), 0);
}

#[test]
fn archives_are_known_by_how_they_begin_and_by_what_they_are_called() {
    let mut tar = vec![0; 300];
    tar[257..262].copy_from_slice(b"ustar");
    for first in [b"\x1f\x8b\x08".as_slice(), b"PK\x03\x04", &tar] {
        assert!(begins_like_a_file(Ecosystem::Npm, first));
        // Its lists are packed.
        assert!(!begins_like_a_file(Ecosystem::Debian, first));
    }
    assert!(begins_like_a_file(Ecosystem::Debian, b"!<arch>\ndebian-binary"));
    assert!(!begins_like_a_file(Ecosystem::Npm, b"{\"name\""));
    for text in ["/a/x.tgz", "/a/x.TGZ/", "file=a-1.0.whl", "/x.crate;v=1", "/x.tar.gz%2F"] {
        assert!(looks_like_a_file(text), "{text}");
    }
    for text in ["/a/tgz", "/x.gz", "text=zip", "/config.json"] {
        assert!(!looks_like_a_file(text), "{text}");
    }
}
