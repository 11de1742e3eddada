//! Programs that are known, and what their arguments are.

use super::super::ArgumentRole;
pub(super) use super::variables::is_telling;
use super::wrappers;

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
    /// Options that stand in the place of what comes before the files.
    pub(super) instead: &'static [&'static str],
    /// Options with which it reads where it is, where no file is named; an empty one is each.
    pub(super) here: &'static [&'static str],
    /// Whether what comes behind the first file is written.
    pub(super) second_written: bool,
}

impl Operands {
    /// Of a program that nobody knows.
    pub(super) const UNKNOWN: Operands = Operands {
        role: None,
        skip: 0,
        values: &[],
        reads: &[],
        writes: &[],
        opaque: &[],
        instead: &[],
        here: &[],
        second_written: false,
    };

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
    pub(super) const PLAIN: Wrapper = Wrapper {
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
    "cat",
    "cksum",
    "cmp",
    "column",
    "comm",
    "diff",
    "dir",
    "du",
    "expand",
    "fold",
    "hexdump",
    "hostname",
    "ls",
    "md5sum",
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
    "stat",
    "strings",
    "sum",
    "tac",
    "unexpand",
    "users",
    "vdir",
    "wc",
    "who",
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
    ("deno", &["eval", "repl", "-", "--env-file"]),
    ("julia", &["-e", "-E", "-p", "-L"]),
    ("lua", &["-e", "-l", "-i"]),
    ("node", NODE),
    ("nodejs", NODE),
    ("osascript", &["-e"]),
    ("perl", &["-e", "-E", "-M", "-m", "-n", "-p", "-x"]),
    ("php", &["-r", "-B", "-R", "-F", "-E", "-d", "-a"]),
    ("pypy", &["-c", "-m", "-i"]),
    ("pypy3", &["-c", "-m", "-i"]),
    ("python", &["-c", "-m", "-i"]),
    ("ruby", &["-e", "-r", "-n", "-p"]),
    ("tclsh", &[]),
];

const NODE: &[&str] = &[
    "-e",
    "--eval",
    "-p",
    "--print",
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "-i",
    "--env-file",
    "--env-file-if-exists",
    "--run",
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
        _ if is(READS) => Kind::Known(Operands {
            reads: &["--files0-from", "--from-file", "--to-file"],
            ..Operands::of(ArgumentRole::ReadPath)
        }),
        _ if is(WRITES) => Kind::Known(writes(name)),
        _ if is(DELETES) => Kind::Known(Operands::of(ArgumentRole::DeletePath)),
        _ if is(CHANGES) => Kind::Known(changes(name)),
        "cp" | "install" | "ln" | "link" | "mv" | "rsync" | "scp" => Kind::Copies,
        "curl" | "wget" => Kind::Client,
        "find" => Kind::Find,
        "git" => Kind::Git,
        "nc" | "ncat" | "netcat" | "telnet" => Kind::Connects,
        "sed" | "gsed" => Kind::Sed,
        "ssh" => Kind::Ssh,
        _ => wrappers::wrapper(name).map_or_else(|| others(name), Kind::Wrapper),
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

fn changes(name: &str) -> Operands {
    // A mode may begin like an option.
    let modes: &[&str] = match name {
        "chmod" => &["--reference", "-r", "-w", "-x", "-X", "-s", "-t", "-u", "-g", "-o", "-a"],
        "chattr" => &[
            "-a", "-A", "-c", "-C", "-d", "-D", "-e", "-F", "-i", "-j", "-m", "-P", "-s", "-S",
            "-t", "-T", "-u", "-x",
        ],
        _ => &["--reference"],
    };
    Operands {
        skip: 1,
        reads: &["--reference"],
        instead: modes,
        ..Operands::of(ArgumentRole::WritePath)
    }
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
        "jq" => Kind::Known(Operands {
            skip: 1,
            reads: &["-f", "--from-file", "-L"],
            instead: &["-f", "--from-file"],
            ..reads
        }),
        "grep" | "egrep" | "fgrep" | "rg" => Kind::Known(Operands {
            skip: 1,
            values: &["-m", "-A", "-B", "-C", "--max-count", "-t", "-g"],
            reads: &["-f", "--file"],
            // With these nothing comes before the files, or a program does.
            opaque: &["-e", "--regexp", "--pre", "--hostname-bin"],
            instead: &["-f", "--file"],
            here: if name == "rg" {
                &[""]
            } else {
                &["-r", "-R", "-d", "--recursive", "--dereference-recursive", "--directories"]
            },
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
        _ => shows(name, reads),
    }
}

/// Programs that show files, and can write or run something besides.
fn shows(name: &str, reads: Operands) -> Kind {
    match name {
        "bat" => Kind::Known(Operands { opaque: &["--pager"], ..reads }),
        "file" => Kind::Known(Operands {
            reads: &["-f", "-m", "--files-from", "--magic-file"],
            opaque: &["-C", "--compile"],
            ..reads
        }),
        // Behind `+` are commands of theirs.
        "less" | "more" => Kind::Known(Operands {
            writes: &["-o", "-O", "--log-file", "--LOG-FILE"],
            opaque: &["+", "-k", "--lesskey-file", "--lesskey-src", "--lesskey-content"],
            ..reads
        }),
        "shuf" => Kind::Known(Operands {
            values: &["-i", "-n", "--input-range", "--head-count"],
            reads: &["--random-source"],
            writes: &["-o", "--output"],
            ..reads
        }),
        "tree" => Kind::Known(Operands {
            values: &["-L", "-P", "-I", "-H", "-T"],
            writes: &["-o"],
            here: &[""],
            ..reads
        }),
        "uniq" => Kind::Known(Operands {
            values: &["-f", "-s", "-w", "--skip-fields", "--skip-chars", "--check-chars"],
            second_written: true,
            ..reads
        }),
        "xxd" => Kind::Known(Operands {
            values: &["-c", "-g", "-l", "-n", "-o", "-s", "-R"],
            second_written: true,
            ..reads
        }),
        _ => Kind::Unknown,
    }
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
