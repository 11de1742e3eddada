//! Programs that are known, and what their arguments are.

use super::super::ArgumentRole;
pub(super) use super::variables::is_telling;

/// What a program is to whoever wants to know what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word of the shell itself, which starts nothing and opens nothing.
    Builtin,
    /// A program whose arguments are neither files nor hosts.
    Harmless,
    /// What it does cannot be told.
    Opaque,
    /// A shell.
    Shell,
    /// An interpreter, with the flags that are followed by code.
    Interpreter(&'static [&'static str]),
    /// It starts another program.
    Wrapper(Wrapper),
    /// `find`.
    Find,
    /// `git`.
    Git,
    /// `ssh`.
    Ssh,
    /// `curl`, `wget`.
    Client,
    /// `nc HOST PORT` and the like.
    Connects,
    /// From some places to one.
    Copies,
    /// `sed`.
    Sed,
    /// `dd`.
    Dd,
    /// Its operands are files.
    Known(Operands),
    /// Any other.
    Unknown,
}

/// How the arguments of a program are read whose operands are files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operands {
    /// What becomes of the files; `None` where operands need not be any.
    pub(super) role: Option<ArgumentRole>,
    /// How many operands come before them.
    pub(super) skip: usize,
    /// Options with a value that is no file.
    pub(super) values: &'static [&'static str],
    /// Options with a file that is read.
    pub(super) reads: &'static [&'static str],
    /// Options with a file that is written.
    pub(super) writes: &'static [&'static str],
    /// Options after which nothing is known.
    pub(super) opaque: &'static [&'static str],
}

impl Operands {
    /// Of a program that nobody knows.
    pub(super) const UNKNOWN: Operands =
        Operands { role: None, skip: 0, values: &[], reads: &[], writes: &[], opaque: &[] };

    const fn of(role: ArgumentRole) -> Operands {
        Operands { role: Some(role), ..Operands::UNKNOWN }
    }
}

/// How a program names the one that it starts.
#[expect(clippy::struct_excessive_bools, reason = "a row of a table, which is read by column")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrapper {
    /// Options that stand alone.
    pub(super) flags: &'static [&'static str],
    /// Options with a value of their own.
    pub(super) values: &'static [&'static str],
    /// How many words come before the program.
    pub(super) skip: usize,
    /// Whether `NAME=VALUE` may come before it.
    pub(super) variables: bool,
    /// Whether an option may be a number.
    pub(super) numbers: bool,
    /// Whether the program gets arguments that are not told, or another place to be in.
    pub(super) opaque: bool,
    /// Whether something is written into it.
    pub(super) feeds: bool,
}

impl Wrapper {
    const PLAIN: Wrapper = Wrapper {
        flags: &[],
        values: &[],
        skip: 0,
        variables: false,
        numbers: false,
        opaque: false,
        feeds: false,
    };

    /// Whether a short option has its value in the same word: `-n5`.
    pub(super) fn has_value_in(&self, text: &str) -> bool {
        let short = |option: &&&str| option.len() == 2;
        let begins = |option: &&str| text.starts_with(*option) && text.len() > 2;
        !text.starts_with("--") && self.values.iter().filter(short).any(begins)
    }
}

const READS: &[&str] = &[
    "base32",
    "base64",
    "bat",
    "cat",
    "cksum",
    "cmp",
    "column",
    "comm",
    "diff",
    "dir",
    "du",
    "expand",
    "file",
    "fold",
    "hexdump",
    "hostname",
    "less",
    "ls",
    "md5sum",
    "more",
    "nl",
    "od",
    "paste",
    "pr",
    "readlink",
    "realpath",
    "rev",
    "sha1sum",
    "sha224sum",
    "sha256sum",
    "sha384sum",
    "sha512sum",
    "shuf",
    "stat",
    "strings",
    "sum",
    "tac",
    "tree",
    "unexpand",
    "uniq",
    "users",
    "vdir",
    "wc",
    "who",
    "xxd",
    "zcat",
];
const WRITES: &[&str] =
    &["fallocate", "mkdir", "mkfifo", "mknod", "mktemp", "setfacl", "tee", "touch", "truncate"];
const DELETES: &[&str] = &["rm", "rmdir", "shred", "srm", "unlink", "wipe"];
const CHANGES: &[&str] = &["chattr", "chgrp", "chmod", "chown"];

const BUILTINS: &[&str] = &[
    ":", "[", "break", "cd", "continue", "dirs", "echo", "exit", "false", "jobs", "logout",
    "printf", "pwd", "return", "set", "shift", "test", "times", "true", "type", "ulimit", "umask",
    "unset", "wait",
];
const HARMLESS: &[&str] = &[
    "arch", "basename", "cal", "clear", "dirname", "expr", "factor", "groups", "id", "locale",
    "logname", "nproc", "printenv", "ps", "seq", "sleep", "tty", "uname", "uptime", "which",
    "whoami", "yes",
];
/// Words of shells that run what they are given, or evaluate it, or assign variables; also of others than bash.
const EVALUATE: &[&str] = &[
    "autoload",
    "bg",
    "bindkey",
    "caller",
    "chdir",
    "compgen",
    "compopt",
    "compound",
    "disown",
    "emulate",
    "enum",
    "fg",
    "float",
    "functions",
    "getopts",
    "help",
    "history",
    "integer",
    "let",
    "local",
    "nameref",
    "nocorrect",
    "noglob",
    "print",
    "sched",
    "setopt",
    "suspend",
    "unalias",
    "unfunction",
    "unhash",
    "unsetopt",
    "vared",
    "whence",
    "zcompile",
    "zle",
    "zmodload",
    "zparseopts",
    "zstyle",
];
/// They take code, names or files from elsewhere, or change what other words mean.
const OPAQUE: &[&str] = &[
    ".",
    "alias",
    "at",
    "awk",
    "batch",
    "bind",
    "busctl",
    "chroot",
    "complete",
    "crontab",
    "dbus-send",
    "debugfs",
    "dialog",
    "docker",
    "ed",
    "emacs",
    "enable",
    "eval",
    "ex",
    "export",
    "declare",
    "expect",
    "fc",
    "gawk",
    "gdb",
    "hash",
    "kubectl",
    "ld.so",
    "ltrace",
    "machinectl",
    "make",
    "mapfile",
    "mawk",
    "mutt",
    "nawk",
    "ninja",
    "nsenter",
    "parallel",
    "podman",
    "popd",
    "pushd",
    "read",
    "readarray",
    "readonly",
    "screen",
    "script",
    "shopt",
    "socat",
    "source",
    "strace",
    "su",
    "systemctl",
    "systemd-run",
    "tmux",
    "trap",
    "typeset",
    "unshare",
    "vi",
    "view",
    "vim",
    "nvim",
    "nano",
    "zip",
    "unzip",
    "watch",
];
const SHELLS: &[&str] =
    &["ash", "bash", "dash", "fish", "ksh", "mksh", "rbash", "sh", "yash", "zsh"];

/// Interpreters, and the flags that are followed by code or the name of a module.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("bun", &["-e", "--eval", "-p", "--print"]),
    ("deno", &["eval", "repl", "-"]),
    ("julia", &["-e", "-E", "-p", "-L"]),
    ("lua", &["-e", "-l", "-i"]),
    ("node", &["-e", "--eval", "-p", "--print", "-r", "--require", "--import", "--loader", "-i"]),
    ("nodejs", &["-e", "--eval", "-p", "--print", "-r", "--require", "--import", "-i"]),
    ("osascript", &["-e"]),
    ("perl", &["-e", "-E", "-M", "-m", "-n", "-p", "-x"]),
    ("php", &["-r", "-B", "-R", "-F", "-E", "-d", "-a"]),
    ("pypy", &["-c", "-m", "-i"]),
    ("pypy3", &["-c", "-m", "-i"]),
    ("python", &["-c", "-m", "-i"]),
    ("ruby", &["-e", "-r", "-n", "-p"]),
    ("tclsh", &[]),
];

/// What a program is by its name; `as_file` where it was written with a directory, so that it is no builtin.
pub(super) fn kind_of(name: &str, as_file: bool) -> Kind {
    let is = |all: &[&str]| all.contains(&name);
    let numbered = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let of_language = |(language, _): &&(&str, &[&str])| *language == name || *language == numbered;
    if is(BUILTINS) && !as_file {
        return Kind::Builtin;
    }
    if is(HARMLESS) || is(BUILTINS) {
        return Kind::Harmless;
    }
    if let Some((_, flags)) = INTERPRETERS.iter().find(of_language) {
        return Kind::Interpreter(flags);
    }
    match name {
        _ if is(SHELLS) => Kind::Shell,
        _ if is(OPAQUE) || is(EVALUATE) => Kind::Opaque,
        _ if is(READS) => Kind::Known(Operands::of(ArgumentRole::ReadPath)),
        _ if is(WRITES) => Kind::Known(writes(name)),
        _ if is(DELETES) => Kind::Known(Operands::of(ArgumentRole::DeletePath)),
        _ if is(CHANGES) => {
            Kind::Known(Operands { skip: 1, ..Operands::of(ArgumentRole::WritePath) })
        }
        "cp" | "install" | "ln" | "link" | "mv" | "rsync" | "scp" => Kind::Copies,
        "curl" | "wget" => Kind::Client,
        "find" => Kind::Find,
        "git" => Kind::Git,
        "nc" | "ncat" | "netcat" | "telnet" => Kind::Connects,
        "sed" | "gsed" => Kind::Sed,
        "ssh" => Kind::Ssh,
        _ => wrapper(name).map_or_else(|| others(name), Kind::Wrapper),
    }
}

fn writes(name: &str) -> Operands {
    let values: &[&str] = match name {
        "mkdir" | "mkfifo" | "mknod" => &["-m", "--mode"],
        "touch" => &["-d", "-t"],
        "truncate" => &["-s", "--size"],
        "fallocate" => &["-l", "-o"],
        _ => &[],
    };
    Operands { values, reads: &["-r", "--reference"], ..Operands::of(ArgumentRole::WritePath) }
}

/// Programs that read files and have something before them, or options with values.
fn others(name: &str) -> Kind {
    let reads = Operands::of(ArgumentRole::ReadPath);
    match name {
        "head" | "tail" => {
            Kind::Known(Operands { values: &["-n", "-c", "--lines", "--bytes"], ..reads })
        }
        "cut" => Kind::Known(Operands { values: &["-d", "-f", "-c", "-b"], ..reads }),
        "tr" => Kind::Harmless,
        "jq" => Kind::Known(Operands { skip: 1, reads: &["-f", "-L"], ..reads }),
        "grep" | "egrep" | "fgrep" | "rg" => Kind::Known(Operands {
            skip: 1,
            values: &["-m", "-A", "-B", "-C", "--max-count", "-t", "-g"],
            reads: &["-f", "--file"],
            // With these nothing comes before the files, or a program does.
            opaque: &["-e", "--regexp", "--pre"],
            ..reads
        }),
        "sort" => Kind::Known(Operands {
            values: &["-k", "-t", "-S", "--key", "--field-separator"],
            reads: &["-T", "--files0-from"],
            writes: &["-o", "--output"],
            opaque: &["--compress-program"],
            ..reads
        }),
        "date" => Kind::Known(Operands {
            values: &["-d", "-s", "--date", "--set"],
            reads: &["-f", "-r", "--file", "--reference"],
            ..Operands::UNKNOWN
        }),
        "dd" => Kind::Dd,
        "tar" | "bsdtar" | "7z" | "ar" | "cpio" => Kind::Opaque,
        _ => Kind::Unknown,
    }
}

fn wrapper(name: &str) -> Option<Wrapper> {
    let plain = Wrapper::PLAIN;
    Some(match name {
        "env" => {
            Wrapper { flags: &["-i", "-0", "-v", "-"], values: &["-u"], variables: true, ..plain }
        }
        "sudo" => Wrapper {
            flags: &["-n", "-E", "-H", "-k", "-K", "-S", "-b", "-A", "-P"],
            values: &["-u", "-g", "-p", "-C", "-r", "-t", "-T", "-U", "-h"],
            variables: true,
            ..plain
        },
        "doas" => Wrapper { flags: &["-n", "-L"], values: &["-u"], ..plain },
        "nohup" | "setsid" | "builtin" | "unbuffer" => {
            Wrapper { flags: &["-c", "-f", "-w"], ..plain }
        }
        "command" => Wrapper { flags: &["-p", "-v", "-V"], ..plain },
        "exec" => Wrapper { flags: &["-c", "-l"], values: &["-a"], ..plain },
        "nice" => Wrapper { values: &["-n"], numbers: true, ..plain },
        "ionice" => Wrapper { flags: &["-t"], values: &["-c", "-n"], ..plain },
        "time" => Wrapper { flags: &["-p", "-v"], values: &["-f"], ..plain },
        "timeout" => Wrapper { flags: &["-v"], values: &["-k", "-s"], skip: 1, ..plain },
        "stdbuf" => Wrapper { values: &["-i", "-o", "-e"], ..plain },
        "taskset" | "chrt" => Wrapper { flags: &["-c", "-r", "-f", "-o"], skip: 1, ..plain },
        "busybox" | "toybox" => plain,
        // Its arguments come from what it reads.
        "xargs" => Wrapper {
            flags: &["-0", "-r", "-t", "-x", "-p"],
            values: &["-n", "-P", "-L", "-I", "-d", "-s", "-a", "-E"],
            opaque: true,
            ..plain
        },
        "flock" => Wrapper {
            flags: &["-n", "-x", "-s", "-u"],
            values: &["-w", "-E"],
            skip: 1,
            opaque: true,
            ..plain
        },
        _ => return None,
    })
}

/// Whether it is a shell whose words mean what is known here: others evaluate more of them.
pub(super) fn is_common_shell(name: &str) -> bool {
    ["ash", "bash", "dash", "rbash", "sh"].contains(&name)
}

/// Whether a shell itself is meant, and no file, by a word that is followed by a program.
pub(super) fn is_of_the_shell(name: &str) -> bool {
    ["builtin", "command", "exec", "time"].contains(&name)
}

/// Whether a text, wherever it stands, looks like the path of a file.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with(['/', '~'])
        || text == "."
        || text == ".."
        || text.starts_with("./")
        || text.starts_with("../")
        || text.contains('/')
}

/// Whether a script of `sed` only prints, deletes or substitutes: `s/a/b/g`, `1,5p`, `/x/d`.
pub(super) fn is_plain_sed(script: &str) -> bool {
    let mut rest = script;
    let digits = |letter: char| letter.is_ascii_digit() || letter == '$';
    rest = rest.trim_start_matches(digits);
    if let Some(more) = rest.strip_prefix(',') {
        rest = more.trim_start_matches(digits);
    } else if let Some(more) = rest.strip_prefix('/') {
        let Some((pattern, more)) = more.split_once('/') else { return false };
        if pattern.contains('\\') {
            return false;
        }
        rest = more;
    }
    if matches!(rest, "p" | "d" | "q" | "=" | "") {
        return true;
    }
    let Some(rest) = rest.strip_prefix('s') else { return false };
    let Some(sign) =
        rest.chars().next().filter(|sign| sign.is_ascii_punctuation() && *sign != '\\')
    else {
        return false;
    };
    // A sign that is escaped would end it somewhere else.
    let parts: Vec<&str> = rest.split(sign).collect();
    let escaped = format!("\\{sign}");
    match parts.as_slice() {
        ["", _, _, flags] => {
            let plain = |letter: char| letter.is_ascii_digit() || "gpiI".contains(letter);
            flags.chars().all(plain) && !rest.contains(&escaped) && !rest.contains('\n')
        }
        _ => false,
    }
}
