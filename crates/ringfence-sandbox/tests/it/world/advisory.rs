//! Worlds that advise: programs that ask are held, what does not ask is not, and nobody is asked for in
//! another's name.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::harness::{Place, Who, everyone, library};

/// A place whose `data` the payload may write, whoever it is, and whose `other` it may not, although its
/// user may.
struct Asking {
    place: Place,
    options: Vec<String>,
}

/// Each tier, with a program that it holds.
const HELD: [(&str, &str); 2] = [("preload", "tools/asker"), ("ptrace", "tools/static")];

/// The same for all tiers without mounts.
const ON_THE_HOST: [(&str, &str); 3] = [HELD[0], HELD[1], ("landlock", "tools/static")];

impl Asking {
    fn new(who: Who) -> Asking {
        Asking::of("preload", who)
    }

    fn of(tier: &str, who: Who) -> Asking {
        let place = Place::new(who);
        for dir in ["data", "other", "ways"] {
            place.make_dir(dir);
            fs::set_permissions(place.path(dir), fs::Permissions::from_mode(0o777)).unwrap();
        }
        for file in ["data/file", "other/file", "other/second"] {
            place.make_file(file, "x");
            fs::set_permissions(place.path(file), fs::Permissions::from_mode(0o666)).unwrap();
        }
        for (built, name) in [(asker(&[]), "tools/asker"), (asker(&["-static"]), "tools/static")] {
            let copied = Command::new("cp").arg(built).arg(place.path(name)).status();
            assert!(copied.unwrap().success());
        }
        let (data, line) = (place.text("data"), place.text("ways/line"));
        let library = library().to_str().unwrap().to_owned();
        let mut words = vec!["--tier", tier, "--notify"];
        if tier != "landlock" {
            words.extend(["--line", &line]);
        }
        if tier == "preload" {
            words.extend(["--library", &library]);
        }
        let options = words.iter().map(|it| (*it).to_owned());
        let options = options.chain(["--write".to_owned(), data]).collect();
        Asking { place, options }
    }

    fn options(&self) -> Vec<&str> {
        self.options.iter().map(String::as_str).collect()
    }

    /// What one of the programs prints in the world.
    fn inside(&self, program: &str, args: &[&str]) -> String {
        let program = self.place.text(program);
        let command: Vec<&str> =
            std::iter::once(program.as_str()).chain(args.iter().copied()).collect();
        let _ = fs::remove_file(self.place.path("ways/line"));
        let said = self.place.run(&self.options(), &command);
        assert!(said.code < 126, "{args:?}: {said:?}");
        said.out
    }

    /// The same outside, by the same user.
    fn outside(&self, program: &str, args: &[&str]) -> String {
        let program = self.place.text(program);
        let script = std::iter::once(program.as_str()).chain(args.iter().copied());
        let script: Vec<String> = script.map(|word| format!("'{word}'")).collect();
        self.place.outside_script(&script.join(" ")).out
    }
}

/// The program of `asker.c`, compiled once in each way.
fn asker(flags: &[&str]) -> &'static Path {
    static PROGRAMS: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
    PROGRAMS[flags.len()].get_or_init(|| {
        let name = format!("asker{}", flags.concat());
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let fresh = program.with_extension(std::process::id().to_string());
        let compiled = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread"])
            .args(flags)
            .arg("-o")
            .arg(&fresh)
            .arg("tests/it/world/asker.c")
            .status()
            .expect("a C compiler");
        assert!(compiled.success());
        fs::rename(fresh, &program).unwrap();
        program
    })
}

/// Each way to change or read something, by a function of libc: its name, and what it is about.
const WAYS: [&[&str]; 23] = [
    &["open", "new"],
    &["openat", "new"],
    &["creat", "new"],
    &["syscall", "new"],
    &["fopen", "new"],
    &["freopen", "new"],
    &["mkstemp", "new"],
    &["mkdtemp", "new"],
    &["mkdir", "new"],
    &["mkfifo", "new"],
    &["symlink", "new", "file"],
    &["spawn-open", "new"],
    &["open", "file"],
    &["truncate", "file"],
    &["chmod", "file"],
    &["read", "file"],
    &["fopen-read", "file"],
    &["opendir", "."],
    &["rename", "file", "to"],
    &["renameat2", "file", "to"],
    &["link", "file", "to"],
    &["unlink", "file"],
    &["remove", "file"],
];

#[test]
fn what_a_program_asks_for_by_any_function_is_decided() {
    for (who, (tier, program)) in
        everyone().into_iter().flat_map(|who| HELD.map(|held| (who, held)))
    {
        let asking = Asking::of(tier, who);
        for (at, way) in WAYS.iter().enumerate() {
            let within = |base: &str| -> Vec<String> {
                let dir = asking.place.make_dir(&format!("{base}/{at}"));
                fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
                let file = asking.place.make_file(&format!("{base}/{at}/file"), "x");
                fs::set_permissions(file, fs::Permissions::from_mode(0o666)).unwrap();
                let names = way[1..].iter().map(|name| format!("{dir}/{name}"));
                std::iter::once(way[0].to_owned()).chain(names).collect()
            };
            let said = |of: &[String], inside: bool| {
                let of: Vec<&str> = of.iter().map(String::as_str).collect();
                if inside { asking.inside(program, &of) } else { asking.outside(program, &of) }
            };
            let (other, data, ways) = (within("other"), within("data"), within("ways"));
            assert_eq!(said(&ways, false), "ok", "{who:?} {way:?}: it works outside");
            assert_eq!(said(&other, true), "errno 13", "{who:?} {way:?}");
            let dir = asking.place.path(&format!("other/{at}"));
            let left: Vec<_> =
                fs::read_dir(&dir).unwrap().flatten().map(|it| it.file_name()).collect();
            assert_eq!(left, ["file"], "{who:?} {way:?}");
            assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "x", "{who:?} {way:?}");
            // A file of root's is another's: its bits are not the payload's, and it gets no second name.
            if who == Who::Ordinary || !["chmod", "link"].contains(&way[0]) {
                assert_eq!(said(&data, true), "ok", "{who:?} {way:?}");
            }
        }
        let out = [asking.place.text("data/file"), asking.place.text("other/to")];
        assert_eq!(asking.inside(program, &["rename", &out[0], &out[1]]), "errno 13");
        assert_eq!(asking.inside(program, &["mkdir", &asking.place.text("tools/new")]), "errno 30");
    }
}

#[test]
fn a_program_without_libc_passes_this_tier_by_as_it_is_said() {
    for who in everyone() {
        let asking = Asking::new(who);
        let file = asking.place.text("other/new");
        for (program, args) in [("tools/asker", ["bare", &file]), ("tools/static", ["open", &file])]
        {
            assert_eq!(asking.inside(program, &args), "ok", "{who:?} {program}");
            fs::remove_file(&file).unwrap();
            assert_eq!(asking.inside("tools/asker", &["open", &file]), "errno 13", "{who:?}");
        }
    }
}

#[test]
fn whatever_a_program_starts_asks_as_well_also_without_an_environment() {
    let ways = [
        "execve", "execl", "execle", "execlp", "execvp", "fexecve", "syscall", "fork", "vfork",
        "spawn", "system", "popen",
    ];
    for (who, (tier, program)) in
        everyone().into_iter().flat_map(|who| HELD.map(|held| (who, held)))
    {
        let asking = Asking::of(tier, who);
        let (other, data) = (asking.place.text("other/new"), asking.place.text("data/new"));
        for way in ways {
            assert_eq!(asking.inside(program, &["start", way, &other]), "errno 13", "{way}");
            assert!(!Path::new(&other).exists(), "{way}");
            assert_eq!(asking.inside(program, &["start", way, &data]), "ok", "{way}");
            fs::remove_file(&data).unwrap();
        }
    }
}

#[test]
fn threads_forks_and_children_ask_side_by_side() {
    for (who, (tier, program)) in
        everyone().into_iter().flat_map(|who| HELD.map(|held| (who, held)))
    {
        let asking = Asking::of(tier, who);
        let data = asking.place.text("data");
        assert_eq!(asking.inside(program, &["threads", &data]), "ok", "{who:?} {tier}");
    }
}

#[test]
fn what_a_library_cannot_hold_is_stopped_by_a_tracer() {
    for who in everyone() {
        let asking = Asking::of("ptrace", who);
        let file = asking.place.text("other/new");
        for (program, args) in [("tools/asker", ["bare", &file]), ("tools/static", ["open", &file])]
        {
            assert_eq!(asking.outside(program, &args), "ok", "{who:?} {program}");
            fs::remove_file(&file).unwrap();
            assert_eq!(asking.inside(program, &args), "errno 13", "{who:?} {program}");
            assert!(!Path::new(&file).exists());
        }
        for attack in ["int80", "x32"] {
            assert_eq!(asking.place.outside(&[attack]).out, "ok");
            let _ = fs::remove_file(asking.place.path("ways/line"));
            let said = asking.place.inside(&asking.options(), &[attack]);
            assert_eq!(said.code, 128 + libc::SIGSYS, "{attack}: {said:?}");
        }
        for attack in ["ptrace", "user-namespace", "io-uring"] {
            assert_eq!(asking.place.outside(&[attack]).out, "ok");
            let _ = fs::remove_file(asking.place.path("ways/line"));
            let said = asking.place.inside(&asking.options(), &[attack]);
            assert!(said.out.starts_with("errno"), "{attack}: {said:?}");
        }
    }
}

#[test]
fn a_traced_program_can_be_stopped_and_continued_and_sees_its_signals() {
    let asking = Asking::of("ptrace", Who::Ordinary);
    let script = "trap 'echo heard' USR1; kill -USR1 $$; sleep 100 & kill -STOP $!; kill -CONT $!; \
                  kill -TERM $!; wait $!; echo $?; (exit 7); echo $?; timeout 0.2 sleep 100; echo $?";
    let said = asking.place.script(&asking.options(), script);
    assert_eq!(said.out, "heard\n143\n7\n124", "{said:?}");
}

#[test]
fn an_opened_file_gets_the_lowest_number_and_is_closed_by_an_exec_where_that_was_asked_for() {
    let asking = Asking::new(Who::Ordinary);
    let file = asking.place.text("data/file");
    let outside = asking.outside("tools/asker", &["lowest", &file]);
    assert_eq!(outside, "0 3 1 1");
    assert_eq!(asking.inside("tools/asker", &["lowest", &file]), outside);
}

#[test]
fn nobody_is_asked_for_in_the_name_of_another_thread_or_process() {
    for who in everyone() {
        let asking = Asking::new(who);
        let line = asking.place.text("ways/line");
        let forge =
            |how: &str, number: &str| asking.inside("tools/static", &["forge", how, &line, number]);
        // The oracle: what is honest is answered, by what the kernel says to such a path.
        assert_eq!(forge("honest", ""), format!("answered 3 {}", libc::ENOENT), "{who:?}");
        for how in ["magic", "half", "long", "empty", "junk", "given-away", "orphan"] {
            let said = forge(how, "");
            assert!(!said.contains("answered"), "{who:?} {how}: {said}");
        }
        // It could say what it wants from there.
        assert_eq!(forge("nested", ""), "refused", "{who:?}");
        let own = std::process::id().to_string();
        for number in ["1", "0", &own, "4294967295", "18446744073709551615", "2147483647"] {
            assert_eq!(forge("tid", number), "refused", "{who:?} {number}");
        }
        // Where a tracer asks, nobody else does.
        let asking = Asking::of("ptrace", who);
        let line = asking.place.text("ways/line");
        let said = asking.inside("tools/static", &["forge", "honest", &line]);
        assert!(!said.contains("answered"), "{who:?}: {said}");
    }
}

#[test]
fn a_process_outside_of_the_world_is_answered_nothing() {
    for (who, (tier, _)) in everyone().into_iter().flat_map(|who| HELD.map(|held| (who, held))) {
        let asking = Asking::of(tier, who);
        let line = asking.place.text("ways/line");
        let file = asking.place.text("data/waits");
        let script = format!("exec {} wait {file}", asking.place.text("tools/asker"));
        let live = asking.place.live(&asking.options(), &script);
        assert_eq!(live.line(), "ready");
        let said = asking.outside("tools/static", &["forge", "honest", &line]);
        assert!(said == "refused" || said.starts_with("errno"), "{who:?}: {said}");
        live.kill();
    }
}

#[test]
fn when_the_broker_is_gone_every_process_of_the_world_ends_and_none_is_let_go_on() {
    for (who, (tier, _)) in everyone().into_iter().flat_map(|who| HELD.map(|held| (who, held))) {
        let asking = Asking::of(tier, who);
        let file = asking.place.text("data/waits");
        let script = format!("exec {} wait {file}", asking.place.text("tools/asker"));
        let mut live = asking.place.live(&asking.options(), &script);
        assert_eq!(live.line(), "ready");
        let program = asking.place.path("tools/asker");
        assert_eq!(running(&program).len(), 1);
        // `timeout` is the parent of the broker.
        let broker = children(live.child.id());
        let pid = rustix::process::Pid::from_raw(broker[0].cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        super::landlocked::until(|| running(&program).is_empty());
        live.child.wait().unwrap();
    }
}

#[test]
fn when_the_supervisor_is_killed_every_process_that_has_asked_ends() {
    for (who, (tier, program)) in
        everyone().into_iter().flat_map(|who| HELD.map(|held| (who, held)))
    {
        let asking = Asking::of(tier, who);
        let file = asking.place.text("data/waits");
        let program = asking.place.path(program);
        let script = format!("{0} wait {file} & exec {0} wait {file}", program.display());
        let mut live = asking.place.live(&asking.options(), &script);
        assert_eq!((live.line(), live.line()), ("ready".to_owned(), "ready".to_owned()));
        assert_eq!(running(&program).len(), 2);
        let tracer = children(children(live.child.id())[0]);
        let pid = rustix::process::Pid::from_raw(tracer[0].cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        super::landlocked::until(|| running(&program).is_empty());
        live.child.wait().unwrap();
    }
}

#[test]
fn whatever_is_started_ends_with_the_world_in_tiers_that_advise_too() {
    for (who, (tier, _)) in everyone().into_iter().flat_map(|who| HELD.map(|held| (who, held))) {
        let asking = Asking::of(tier, who);
        super::landlocked::nothing_goes_on(&asking.place, &asking.options());
    }
}

#[test]
fn who_asked_once_ends_although_many_others_have_asked_and_are_forgotten() {
    for who in everyone() {
        let asking = Asking::new(who);
        let (long, file) = (asking.place.path("tools/long"), asking.place.text("data/waits"));
        let copied = Command::new("cp").arg("/bin/sleep").arg(&long).status();
        assert!(copied.unwrap().success());
        let script = format!(
            "{} 60 & n=0; while test $n -lt 250; do /bin/true; n=$((n + 1)); done; exec {} wait {file}",
            long.display(),
            asking.place.text("tools/asker"),
        );
        let mut live = asking.place.live(&asking.options(), &script);
        assert_eq!(live.line(), "ready", "{who:?}");
        assert_eq!(running(&long).len(), 1);
        let broker = children(live.child.id())[0];
        let open = fs::read_dir(format!("/proc/{broker}/fd")).unwrap().flatten();
        let is_process = |path: &Path| path.as_os_str() == "anon_inode:[pidfd]";
        let held = open.filter(|it| fs::read_link(it.path()).is_ok_and(|to| is_process(&to)));
        let held = held.count();
        assert!((2..150).contains(&held), "{who:?}: of 252 who have asked it holds {held}");
        let supervisor = children(broker)[0];
        let pid = rustix::process::Pid::from_raw(supervisor.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        super::landlocked::until(|| running(&long).is_empty());
        live.child.wait().unwrap();
    }
}

#[test]
fn a_process_that_waits_in_the_kernel_for_its_child_ends_with_the_world() {
    for (who, (tier, program)) in
        everyone().into_iter().flat_map(|who| ON_THE_HOST.map(|held| (who, held)))
    {
        let asking = Asking::of(tier, who);
        let (data, path) = (asking.place.text("data"), asking.place.path(program));
        let script = format!(
            "{} vfork-wait > {data}/pid & while ! test -s {data}/pid; do sleep 0.05; done; sleep 0.2",
            path.display()
        );
        let waits = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" D"))
        };
        let outside = format!("setsid sh -c '{script}; exec sleep 60' & exec sleep 0");
        asking.place.outside_script(&format!("({outside}) >/dev/null 2>&1"));
        super::landlocked::until(|| running(&path).iter().any(waits));
        assert_eq!(running(&path).len(), 2, "outside it and its child live on");
        for pid in running(&path) {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        super::landlocked::until(|| running(&path).is_empty());
        fs::remove_file(asking.place.path("data/pid")).unwrap();
        let said = asking.place.run(&asking.options(), &["sh", "-c", &script]);
        assert_eq!(said.code, 0, "{tier} {who:?}: {said:?}");
        assert!(running(&path).is_empty(), "{tier} {who:?}: it goes on");
    }
}

#[test]
fn the_broker_and_the_supervisor_cannot_be_read_by_programs_of_the_world() {
    for (who, (tier, _)) in
        everyone().into_iter().flat_map(|who| ON_THE_HOST.map(|held| (who, held)))
    {
        let asking = Asking::of(tier, who);
        let data = asking.place.text("data");
        let read = "for f in maps mem environ auxv; do cat /proc/$of/$f > /dev/null && echo open; done; \
                    ls /proc/$of/fd /proc/$of/cwd/ > /dev/null && echo open";
        let own = asking.place.outside_script(&format!("sleep 30 & of=$!; {read}; kill $of"));
        assert!(own.out.contains("open"), "it works outside, on a process of one's own: {own:?}");
        let script = format!(
            "echo $PPID; while ! test -s {data}/of; do sleep 0.05; done; of=$(cat {data}/of); {read}; \
             of=$PPID; {read}; echo end"
        );
        let live = asking.place.live(&asking.options(), &script);
        let supervisor: i32 = live.line().parse().unwrap();
        let broker = super::landlocked::parent(supervisor);
        let of = asking.place.path("data/of");
        fs::write(of.with_extension("new"), broker.to_string()).unwrap();
        fs::set_permissions(of.with_extension("new"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(of.with_extension("new"), of).unwrap();
        assert_eq!(live.line(), "end", "{tier} {who:?}");
        let _ = live.end();
    }
}

#[test]
fn without_an_answer_a_program_is_denied_and_says_so() {
    let asking = Asking::new(Who::Ordinary);
    let (file, line) = (asking.place.text("data/new"), asking.place.text("ways/line"));
    let script = format!(
        "LD_PRELOAD={} RINGFENCE_LINE={line} {} open {file}",
        library().display(),
        asking.place.text("tools/asker")
    );
    let said = asking.place.outside_script(&script);
    assert_eq!(said.out, "errno 13", "{said:?}");
    assert!(said.err.contains("the broker does not answer"), "{said:?}");
    let said = asking.place.outside_script(&script.replace("RINGFENCE_LINE=", "OTHER="));
    assert_eq!(said.out, "errno 13", "{said:?}");
}

#[test]
fn what_this_tier_cannot_do_is_not_started() {
    for who in everyone() {
        let asking = Asking::new(who);
        let with = |more: &[&str]| {
            let mut options = asking.options();
            options.extend(more);
            let _ = fs::remove_file(asking.place.path("ways/line"));
            asking.place.run(&options, &["true"])
        };
        assert_eq!(with(&[]).code, 0);
        let long = format!("{}/{}", asking.place.text("ways"), "x".repeat(100));
        let there = asking.place.make_file("open.so", "x");
        fs::set_permissions(&there, fs::Permissions::from_mode(0o666)).unwrap();
        let absent = asking.place.text("absent.so");
        // A directory above it in which others may put something else in its place, and a link into one.
        let open = asking.place.make_dir("open");
        asking.place.make_dir("open/closed");
        let beneath = asking.place.make_file("open/closed/beneath.so", "x");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let link = asking.place.text("link.so");
        std::os::unix::fs::symlink(&beneath, &link).unwrap();
        let odd = asking.place.make_file("a b.so", "x");
        for (more, said) in [
            (vec!["--library", absent.as_str()], "is not there"),
            (vec!["--library", &there], "can be changed by others"),
            (vec!["--library", &beneath], "must be yours or root's alone"),
            (vec!["--library", &link], "open` must be yours or root's alone"),
            (vec!["--library", &odd], "a space"),
            (vec!["--line", &long], "too long"),
            (vec!["--noexec"], "noexec"),
            (vec!["--dir", "/own"], "exist in one world only"),
            (vec!["--tier", "ptrace"], "loads no library"),
            (vec!["--seccomp", "browser"], "has no network of its own"),
        ] {
            let refused = with(&more);
            assert_eq!(refused.code, 125, "{more:?}: {refused:?}");
            assert!(refused.err.contains(said), "{more:?}: {refused:?}");
        }
    }
}

/// The processes that run a program.
fn running(program: &Path) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let runs =
        |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
    numbers.filter(runs).collect()
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
