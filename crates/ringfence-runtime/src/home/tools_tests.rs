use super::*;

fn npm(text: &str) -> String {
    lines(text, (Form::Lines, FILES[0].keys)).text
}

#[test]
fn no_login_is_copied_whatever_it_is_called() {
    let text = "registry=https://u:p@npm.corp.example/x/\n@corp:registry = https://t@npm.corp.example/\n\
        //npm.corp.example/:_authToken=npm_secret\n_auth=c2VjcmV0\n_password=secret\nemail=a@b.example\n\
        key=\"-----BEGIN PRIVATE KEY-----\\nsecret\"\n; comment secret\nunknown=secret\n@corp:_authToken=secret\n\
        save-exact=true\n";
    assert_eq!(
        npm(text),
        "registry=https://npm.corp.example/x/\n@corp:registry = https://npm.corp.example/\nsave-exact=true\n"
    );
    let pip = "[global]\nindex-url = https://u:p%40ss@h.example/simple\nextra-index-url =\n    https://v:secret@i.example/simple\n    \
        https://j.example/simple\nclient-cert = secret\nproxy = http://u:secret@p.example\n  secret\n";
    let seen = lines(pip, (Form::Sections, PIP)).text;
    assert!(!seen.contains("secret") && !seen.contains("ss@"), "{seen}");
    assert!(
        seen.contains("    https://i.example/simple\n    https://j.example/simple\n"),
        "{seen}"
    );
    let uv = "[[index]]\nname = \"corp\"\nurl = \"https://u:secret@h.example/simple\"\ntoken = \"secret\"\n\
        [pip]\nindex-url = \"https://h.example\"\n[publish]\npassword = \"secret\"\n";
    let seen = toml(uv, FILES[4].keys);
    assert!(!seen.text.contains("secret") && !seen.left_out, "{seen:?}");
    assert!(seen.text.contains("url = \"https://h.example/simple\""), "{seen:?}");
    assert_eq!(toml("token = [", FILES[4].keys), Seen::default());
}

#[test]
fn settings_of_maven_come_without_logins_or_not_at_all() {
    let mirror = "<mirrors><mirror><url>https://u:p@m.example/x</url></mirror></mirrors>";
    let servers = "<servers>\n<server><password>secret</password></server></servers>";
    let seen = maven(&format!("<settings><!-- secret -->{mirror}{servers}</settings>"));
    let kept =
        "<settings><mirrors><mirror><url>https://m.example/x</url></mirror></mirrors></settings>";
    assert_eq!(seen, Seen { text: kept.to_owned(), left_out: false });
    for odd in [
        "<settings><servers><server>",
        "<settings><x:servers><password>p</password></x:servers></settings>",
        "<settings><profile><npmToken>x</npmToken></profile></settings>",
    ] {
        assert_eq!(maven(odd), Seen { text: String::new(), left_out: true }, "{odd}");
    }
}

#[test]
fn no_spelling_of_a_login_comes_through() {
    for text in [
        "registry=https://h.example/\n    //h.example/:_authToken=LEAK\n  _password=LEAK\n",
        "registry=https://h.example/ ; bob LEAK\n",
        "registry=https://h.example/;//h/:_authToken=LEAK\n",
        "nodedir=/x # LEAK\n",
        "registry=https://h.example/\r//h.example/:_authToken=LEAK\r",
        "@corp:registry=https://bob:LEAK,x@npm.example/\n",
        "registry=https://bob:it'sLEAK@npm.example/\n",
        "registry=https:bob:LEAK@h/\nregistry=https:/bob:LEAK@h/\nregistry=https:\\\\bob:LEAK@h/\n",
        "registry=\"https:\\u002f\\u002fbob:LEAK@h/\"\n",
        "registry=https://h.example/x#_authToken=LEAK\nregistry=https://h.example/x;token=LEAK\n",
    ] {
        assert!(!npm(text).contains("LEAK"), "{text}: {}", npm(text));
    }
    for text in [
        "[global]\ncert = /x\n   password = LEAK\n",
        "[global]\ncert = /x\n   LEAK\n",
        "[tok:LEAK = x]\ncert = /x\n",
        "[global]\nindex-url = https://bob:LEAK|x@h/simple\n",
        "[global]\nindex-url = https://bob:LEAK x@h/simple\n",
        "[global]\nindex-url =\n    https://bob:LEAK\"x@h/simple\n    https://h/simple LEAK\n",
    ] {
        let seen = lines(text, (Form::Sections, PIP)).text;
        assert!(!seen.contains("LEAK"), "{text}: {seen}");
    }
    for url in ["https://bob:LEAK,x@h/", "https://u:p<LEAK@h/", "https:/bob:LEAK@h/"] {
        let seen = toml(&format!("index-url = \"{url}\"\n"), FILES[4].keys).text;
        assert!(!seen.contains("LEAK"), "{url}: {seen}");
        assert_eq!(for_world(&format!("{url}|direct")), None);
    }
    for inner in [
        "<profile><properties><sonar.login>LEAK</sonar.login></properties></profile>",
        "<x><sonar.login>LEAK</sonar.login></x>",
        "<p&#x61;ssword>LEAK</p&#x61;ssword>",
        "<url>https:&#47;&#47;bob:LEAK@h/x</url>",
        "<url>https://bob:LEAK'2@h/x</url>",
        "<servers/><mirrors><jdbc.pwd>LEAK</jdbc.pwd></mirrors>",
    ] {
        let seen = maven(&format!("<settings>{inner}</settings>"));
        assert_eq!(seen, Seen { text: String::new(), left_out: true }, "{inner}");
    }
}

#[test]
fn an_address_with_a_key_in_it_is_left_out() {
    for address in [
        "https://dl.example/aZ3kd9fkAl20sKw81mQe/org/simple/",
        "https://h.example/simple?token=x",
        "https://h.example/a@b/simple",
        "https://dl.example/Wc5Tvgwnc0yMFuYX/org/repo/npm/",
    ] {
        assert_eq!(for_world(address), None, "{address}");
        let seen =
            lines(&format!("registry={address}\naudit=false\n"), (Form::Lines, FILES[0].keys));
        assert_eq!(seen, Seen { text: "audit=false\n".to_owned(), left_out: true });
    }
}

#[test]
fn the_hosts_own_registry_has_its_name_in_the_world() {
    assert_eq!(
        npm("registry=http://localhost:4873/\n"),
        format!("registry=http://{HOST_SERVICE_NAME}:4873/\n")
    );
    assert_eq!(
        for_world("http://127.0.0.1:1/,direct"),
        Some(format!("http://{HOST_SERVICE_NAME}:1/,direct"))
    );
    let pip =
        lines("[global]\nindex-url = http://127.0.0.1:3141/simple\n", (Form::Sections, PIP)).text;
    assert!(pip.ends_with(&format!("trusted-host = {HOST_SERVICE_NAME}\n")), "{pip}");
    assert_eq!(
        for_world("https://localhost.example/"),
        Some("https://localhost.example/".to_owned())
    );
}
