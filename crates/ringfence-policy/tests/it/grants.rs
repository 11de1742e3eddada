//! Grants as text, as Cedar and back.

use ringfence_core::{Act, SetName};
use ringfence_policy::grant::GrantText;
use ringfence_policy::{Extent, Source};

use crate::support::{connect, exec, facts, load, options, path, request, source, verdict};

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
        "secret:X",
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

/// The ids of the forbids that a grant runs into, in the words of a person.
fn overruled(forbids: &str, grant: &str) -> String {
    let grant: GrantText = grant.parse().unwrap();
    let granted =
        Source { approves: options().roles, ..source(SetName::Grants, &grant.to_cedar("g-1")) };
    let policy = load(vec![source(SetName::User, forbids), granted]);
    let words = policy.overrules(&grant, &facts()).into_iter().map(|overrule| {
        let extent = match overrule.extent {
            Extent::Whole => "whole",
            Extent::Part => "part",
        };
        format!("{extent} {}", overrule.rule.id)
    });
    words.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_forbid_is_stronger_than_a_grant_and_is_named() {
    let forbids = r#"
        @id("hooks") forbid (principal, action == Action::"fs.write", resource in Dir::"/p/.git");
        @id("meta") forbid (principal, action == Action::"net.connect", resource == Endpoint::"meta.example:80");
        @id("night") forbid (principal, action == Action::"net.connect", resource)
            when { context.clock.hour < 12 };
        @id("push") forbid (principal, action == Action::"exec", resource == Program::"/usr/bin/git")
            when { context has subcommand && context.subcommand == "push" };
        @id("asks") forbid (principal, action == Action::"exec", resource == Program::"/usr/bin/npm")
            unless { context.approvals.contains("owner") };
        @id("not-it") forbid (principal, action == Action::"net.connect",
            resource == Endpoint::"it.example:80") unless { principal == Agent::"it" };
        @id("other") forbid (principal == Agent::"other", action, resource);
    "#;
    for (grant, found) in [
        ("fs.write:/p/.git/hooks", "whole hooks"),
        ("fs.write:/p", "part hooks"),
        ("fs.read:/p/.git", ""),
        ("fs.write:/q", ""),
        ("net:meta.example:80", "whole meta, part night"),
        ("net:a.example:80", "part night"),
        ("net:it.example:80", "part night, part not-it"),
        ("exec:/usr/bin/git push", "whole push"),
        ("exec:/usr/bin/git", ""),
        ("exec:/usr/bin/npm", ""),
    ] {
        assert_eq!(overruled(forbids, grant), found, "{grant}");
    }
}
