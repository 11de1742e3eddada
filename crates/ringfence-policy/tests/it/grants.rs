//! Grants as text, as Cedar and back.

use ringfence_core::{Act, SetName};
use ringfence_policy::grant::GrantText;

use crate::support::{connect, exec, load, path, request, source, verdict};

fn granted(text: &str, act: Act) -> String {
    let grant: GrantText = text.parse().unwrap();
    assert_eq!(grant.to_string(), text);
    verdict(&load(vec![source(SetName::Grants, &grant.to_cedar("g-1"))]), act)
}

#[test]
fn a_grant_permits_what_it_names_and_nothing_beside_it() {
    let write = "fs.write:/srv/a b/it's \"x\"";
    let inside = path("/srv/a b/it's \"x\"/file");
    for act in [Act::Read(inside.clone()), Act::Write(inside.clone()), Act::Delete(inside.clone())]
    {
        assert_eq!(granted(write, act), "permit");
    }
    assert_eq!(granted(write, Act::Write(path("/srv/a b/it"))), "deny");
    assert_eq!(granted("fs.read:/srv", Act::Read(path("/srv/x"))), "permit");
    assert_eq!(granted("fs.read:/srv", Act::Write(path("/srv/x"))), "deny");
    assert_eq!(granted("fs.read:/srv", Act::Delete(path("/srv/x"))), "deny");
    assert_eq!(granted("net:example.com:443", connect("example.com:443")), "permit");
    assert_eq!(granted("net:example.com:443", connect("example.com:80")), "deny");
    assert_eq!(granted("net:example.com:443", connect("www.example.com:443")), "deny");
    assert_eq!(granted("net:[::1]:443", connect("[::1]:443")), "permit");
    assert_eq!(granted("net:/run/x.sock", Act::ConnectUnix(path("/run/x.sock"))), "permit");
    assert_eq!(granted("net:/run/x.sock", Act::ConnectUnix(path("/run/y.sock"))), "deny");
    assert_eq!(granted("exec:/usr/bin/git push", exec(&["/usr/bin/git", "push"])), "permit");
    assert_eq!(granted("exec:/usr/bin/git push", exec(&["/usr/bin/git", "pull"])), "deny");
    assert_eq!(granted("exec:/usr/bin/git push", exec(&["/tmp/git", "push"])), "deny");
    assert_eq!(granted("exec:/usr/bin/git", exec(&["/usr/bin/git", "pull"])), "permit");
}

#[test]
fn a_text_that_is_no_grant_is_refused() {
    for text in [
        "",
        "fs.read",
        "fs.read:",
        "fs.read:relative",
        "fs.delete:/x",
        "fs:/x",
        "net:",
        "net:host",
        "net:host:0",
        "net:host:99999",
        "net:0x7f.1:80",
        "exec:",
        "exec:git",
        "exec:/bin/a b c",
        "exec:/bin/a -x",
        "secret:x",
        "fs.read:/x\0y",
    ] {
        assert!(text.parse::<GrantText>().is_err(), "{text:?}");
    }
}

#[test]
fn a_program_is_resolved_when_the_grant_is_made() {
    let find = |name: &str| (name == "git").then(|| path("/usr/bin/git"));
    let grant = GrantText::parse("exec:git push", &find).unwrap();
    assert_eq!(grant.to_string(), "exec:/usr/bin/git push");
    assert!(GrantText::parse("exec:nothing", &find).is_err());
}

#[test]
fn the_smallest_grant_covers_its_request_and_reads_back() {
    for act in [
        exec(&["/usr/bin/git", "push"]),
        exec(&["/bin/ls", "-l"]),
        Act::Read(path("/a/b")),
        Act::Write(path("/a/b")),
        Act::Delete(path("/a/\u{e9}\u{301}\n")),
        connect("example.com:443"),
        Act::ConnectUnix(path("/run/docker.sock")),
    ] {
        let grant = GrantText::smallest(&request(act.clone()));
        let policy = load(vec![source(SetName::Grants, &grant.to_cedar("g"))]);
        assert_eq!(verdict(&policy, act), "permit", "{grant}");
        assert_eq!(grant.to_string().parse::<GrantText>().unwrap(), grant);
    }
}
