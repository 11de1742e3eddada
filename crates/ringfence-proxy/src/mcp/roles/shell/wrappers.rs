//! Programs that start others, and how they name these.

use super::programs::Wrapper;

/// How a program names the one that it starts, if it starts one.
pub(super) fn wrapper(name: &str) -> Option<Wrapper> {
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
