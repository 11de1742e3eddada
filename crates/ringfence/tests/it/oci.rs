//! Worlds in a container: the image's programs, the plan's files, the same gate; and no way out of it
//! by an image either.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::attacks::targets::wait_until;
use crate::person::{Person, Who, text};

/// One at a time makes images, or writes down where they are: they share a storage.
static STORAGE: Mutex<()> = Mutex::new(());

/// The storage of one user's images, kept between runs of the tests.
pub(crate) struct Images {
    uid: u32,
    dir: PathBuf,
}

/// A directory that becomes an image.
pub(crate) struct Content {
    dir: tempfile::TempDir,
}

impl Content {
    /// Debian's busybox, and a file by which the image is known.
    pub(crate) fn busybox() -> Content {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let content = Content { dir };
        for name in ["bin", "etc", "usr", "root"] {
            fs::create_dir(content.at(name)).unwrap();
        }
        content.program(&busybox(), "bin/busybox");
        for applet in ["sh", "cat", "ls", "id", "echo", "sleep", "true", "wget", "mkdir", "env"] {
            symlink("busybox", content.at("bin").join(applet)).unwrap();
        }
        fs::write(content.at("etc/image"), "busybox\n").unwrap();
        content
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Brings a program of the host's in, with the libraries that it needs.
    pub(crate) fn program(&self, program: &Path, name: &str) {
        fs::copy(program, self.at(name)).unwrap();
        self.libraries(program);
    }

    /// What ldd(1) names, at the same places.
    pub(crate) fn libraries(&self, program: &Path) {
        let output = Command::new("ldd").arg(program).output().unwrap();
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        for path in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            let place = self.at(path.trim_start_matches('/'));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::copy(path, place).unwrap();
        }
    }
}

fn busybox() -> PathBuf {
    let found = ["/usr/bin/busybox", "/bin/busybox"].map(PathBuf::from);
    // `cargo xtask setup` installs it.
    found.into_iter().find(|it| it.exists()).unwrap()
}

impl Images {
    /// Those of a user; root's where the tests run as root.
    pub(crate) fn of(uid: u32) -> Images {
        let dir = PathBuf::from(format!("/var/tmp/ringfence-test-images-{uid}"));
        let _turn = STORAGE.lock().unwrap_or_else(PoisonError::into_inner);
        if fs::symlink_metadata(&dir).is_err() {
            fs::create_dir(&dir).unwrap();
            std::os::unix::fs::chown(&dir, Some(uid), Some(uid)).unwrap();
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        }
        assert_eq!(fs::symlink_metadata(&dir).unwrap().uid(), uid, "{}", dir.display());
        let images = Images { uid, dir };
        let at = images.dir.display();
        let text = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{at}/graph\"\nrunroot = \"{at}/run\"\n\
             rootless_storage_path = \"{at}/graph\"\n"
        );
        // Somebody else may be reading it.
        if fs::read_to_string(images.settings()).ok().as_ref() != Some(&text) {
            fs::write(images.settings(), text).unwrap();
        }
        images
    }

    /// The file that podman is told of.
    pub(crate) fn settings(&self) -> PathBuf {
        self.dir.join("storage.conf")
    }

    pub(crate) fn podman(&self, words: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        let uid = self.uid;
        command.args([&format!("--reuid={uid}"), &format!("--regid={uid}"), "--clear-groups"]);
        command.args(["--", "podman", "--cgroup-manager=cgroupfs"]).args(words);
        command.current_dir(&self.dir).env_clear().env("HOME", &self.dir);
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("CONTAINERS_STORAGE_CONF", self.settings()).stdin(Stdio::null());
        command
    }

    /// Makes an image of this content.
    pub(crate) fn import(&self, content: &Content, name: &str) {
        let _turn = STORAGE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tar = Command::new("tar");
        tar.args(["--owner=0", "--group=0", "-C"]).arg(content.dir.path()).args(["-c", "."]);
        let mut tar = tar.stdout(Stdio::piped()).spawn().unwrap();
        let mut import = self.podman(&["import", "-q", "-", name]);
        let output = import.stdin(tar.stdout.take().unwrap()).output().unwrap();
        assert!(tar.wait().unwrap().success() && output.status.success(), "{}", text(&output));
    }

    /// Names of the containers that there are.
    fn containers(&self) -> String {
        let output = self.podman(&["ps", "--all", "--format", "{{.Names}}"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
@id("not-this")
forbid (principal, action in Action::"fs", resource == Path::"PROJECT/forbidden");
permit (principal, action == Action::"net.connect", resource == Endpoint::"host.ringfence.internal:PORT");
"#;

struct Scene {
    person: Person,
    images: Images,
}

impl Scene {
    fn new(who: Who) -> Scene {
        Scene::with_port(who, 1)
    }

    /// One whose world may connect to this port of the host's.
    fn with_port(who: Who, port: u16) -> Scene {
        let person = Person::new(who);
        let policy = POLICY.replace("PROJECT", person.project().to_str().unwrap());
        person.write(".ringfence/policy.cedar", &policy.replace("PORT", &port.to_string()));
        person.write("file", "of the project\n");
        person.succeed(&["trust", "--yes"]);
        let uid = fs::metadata(person.project()).unwrap().uid();
        Scene { person, images: Images::of(uid) }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.person.ringfence(words);
        command.env("CONTAINERS_STORAGE_CONF", self.images.settings());
        command
    }

    /// What the container of the last session is called.
    fn container(&self) -> String {
        let shown = self.person.succeed(&["show", "--json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        format!("ringfence-{}", shown["session"].as_str().unwrap())
    }

    /// Whether the container of the last session is there.
    fn is_left(&self) -> bool {
        self.images.containers().contains(&self.container())
    }

    fn run(&self, image: &str, script: &str) -> Output {
        let words = ["run", "--tier", "oci", "--image", image, "--", "sh", "-c", script];
        self.command(&words).output().unwrap()
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_world_in_a_container_has_the_images_programs_and_the_files_of_the_plan() {
    for who in Who::all() {
        let scene = Scene::new(who);
        scene.images.import(&Content::busybox(), "ringfence-busybox");
        let script = "cat /etc/image file; echo made > made; ls /usr; ls ..; id -u; echo x > /etc/image; \
                      echo x > forbidden; ls -a /root; exit 7";
        let output = scene.run("ringfence-busybox", script);
        let (out, err) = (out(&output), err(&output));
        assert_eq!(output.status.code(), Some(7), "{who:?}: {out}{err}");
        assert!(out.starts_with("busybox\nof the project\n"), "{who:?}: {out}{err}");
        assert!(!out.contains("share") && !out.contains("own"), "not the host's: {out}{err}");
        assert!(!out.lines().any(|line| line == "0"), "not as root: {out}{err}");
        let made = fs::metadata(scene.person.project().join("made")).unwrap();
        let project = fs::metadata(scene.person.project()).unwrap();
        assert_eq!((made.uid(), made.len()), (project.uid(), 5), "{who:?}: {out}{err}");
        assert!(!scene.person.project().join("forbidden").exists());
        let decided = scene.person.decided();
        let has = |verdict: &str, act: &str| {
            decided.iter().any(|(said, what)| said.contains(verdict) && what.contains(act))
        };
        assert!(has("permit", "/bin/busybox"), "{decided:?}");
        assert!(has("permit", "/project/made"), "{decided:?}");
        assert!(has("deny", "/project/forbidden"), "{decided:?}");
        let shown: Value =
            serde_json::from_str(&scene.person.succeed(&["show", "--json"])).unwrap();
        let layers = shown["layers"].to_string();
        assert!(
            layers.contains("of the image `ringfence-busybox` (sha256:")
                || layers.contains("of the image `ringfence-busybox` ("),
            "{layers}"
        );
        assert!(layers.contains("\"layer\":\"container\""), "{layers}");
        assert!(!scene.is_left(), "{}", scene.images.containers());
    }
}

/// A server of the host's that greets whoever comes.
fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(b"hello\n");
        }
    });
    port
}

#[test]
fn a_world_in_a_container_reaches_nothing_past_the_gate() {
    let (open, shut) = (greeter(), greeter());
    for who in Who::all() {
        let scene = Scene::with_port(who, open);
        let content = Content::busybox();
        content.program(Path::new("/bin/bash"), "bin/bash");
        scene.images.import(&content, "ringfence-bash");
        let to = |host: &str, port: u16| {
            format!("(exec 3<>/dev/tcp/{host}/{port} && read -t 20 l <&3; echo {host}:$l); ")
        };
        let all = to("127.0.0.1", shut) + &to("host.ringfence.internal", shut);
        let script = all + &to("192.0.2.1", 80) + &to("example.com", 80);
        let script = script + &to("host.ringfence.internal", open);
        let outside = to("127.0.0.1", shut);
        let mut oracle = scene.person.command(Path::new("/bin/bash"), &["-c", &outside]);
        assert_eq!(out(&oracle.output().unwrap()), "127.0.0.1:hello\n");
        let words = ["run", "--tier", "oci", "--image", "ringfence-bash", "--", "bash", "-c"];
        let words = [&words[..], &[script.as_str()]].concat();
        let output = scene.command(&words).output().unwrap();
        let (out, err) = (out(&output), err(&output));
        let greeted: Vec<_> = out.lines().filter(|line| line.ends_with(":hello")).collect();
        assert_eq!(greeted, ["host.ringfence.internal:hello"], "{who:?}: {out}{err}");
        let decided = scene.person.decided();
        let denied = |what: &str| {
            decided.iter().any(|(said, act)| said.contains("deny") && act.contains(what))
        };
        for name in ["host.ringfence.internal", "192.0.2.1", "example.com"] {
            assert!(denied(name), "{name}: {decided:?}");
        }
    }
}

#[test]
fn what_cannot_be_a_container_is_said_and_starts_nothing() {
    let scene = Scene::new(*Who::all().last().unwrap());
    scene.images.import(&Content::busybox(), "ringfence-busybox");
    let cases: &[(&[&str], &str, &str)] = &[
        (
            &["--tier", "oci", "--image", "no-such-image"],
            "has no image `no-such-image`",
            "podman pull",
        ),
        (&["--tier", "oci"], "the tier `oci` needs an image", "--image IMAGE"),
        (&["--image", "ringfence-busybox"], "an image is for the tier `oci`", "--tier oci"),
        (&["--tier", "oci", "--image=--volume=/:/host"], "is no name of an image", ""),
        (&["--tier", "oci", "--image="], "is no name of an image", ""),
        (&["--tier", "oci", "--image", "a b"], "is no name of an image", ""),
    ];
    for (words, says, hint) in cases {
        let words = [&["run"], *words, &["--", "sh", "-c", "echo ran > ran"]].concat();
        let output = scene.command(&words).output().unwrap();
        let err = err(&output);
        assert_eq!(output.status.code(), Some(125), "{words:?}: {err}");
        assert!(err.contains(says) && err.contains(hint), "{words:?}: {err}");
        assert!(!scene.person.project().join("ran").exists(), "{words:?}");
    }
}

/// What the host has says nothing of what the image has.
#[test]
fn a_program_that_the_image_lacks_gets_no_offer_of_the_hosts() {
    let scene = Scene::new(*Who::all().last().unwrap());
    scene.images.import(&Content::busybox(), "ringfence-busybox");
    for program in ["python3", "/usr/bin/python3", "no-such-program"] {
        let words = ["run", "--tier", "oci", "--image", "ringfence-busybox", "--", program];
        let output = scene.command(&words).output().unwrap();
        let err = err(&output);
        assert_eq!(output.status.code(), Some(127), "{program}: {err}");
        assert!(err.contains("in the image `ringfence-busybox`"), "{program}: {err}");
        assert!(!err.contains("grant") && !err.contains("outside of it"), "{program}: {err}");
    }
}

#[test]
fn an_engine_that_is_not_there_is_named_with_what_to_install() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else can hide one.
        return;
    }
    let scene = Scene::new(Who::Caller);
    let program = scene.person.ringfence_program().display().to_string();
    let script = format!(
        "for it in /usr/bin/podman /usr/local/bin/podman; do \
         test ! -e $it || mount --bind /dev/null $it; done; \
         {program} run --tier oci --image ringfence-busybox -- true; echo = $?"
    );
    let output = scene.person.outside(&format!("exec unshare -m sh -c '{script}'"));
    let all = text(&output);
    assert!(all.contains("the tier `oci` needs `podman`, which is neither in /usr/bin"), "{all}");
    assert!(all.contains("install podman") && all.contains("= 125"), "{all}");
}

/// What an engine starts outside is named in files of the person's, which no policy lets an agent write.
#[test]
fn what_names_programs_that_an_engine_starts_outside_is_not_written() {
    for who in Who::all() {
        let person = Person::new(who);
        let home = person.home().display().to_string();
        for dir in [".config/containers", "store"] {
            assert!(person.outside(&format!("mkdir -p {home}/{dir}")).status.success());
        }
        let policy = format!(
            "permit (principal, action == Action::\"exec\", resource);\n\
             permit (principal, action in Action::\"fs\", resource in Dir::\"{home}\");"
        );
        person.write(".ringfence/policy.cedar", &policy);
        let files = [
            ".config/containers/containers.conf",
            ".config/containers/storage.conf",
            ".docker/cli-plugins/docker-x",
            "store/storage.conf",
        ];
        let write = |file: &str| {
            format!(
                "mkdir -p $(dirname {home}/{file}); echo x > {home}/{file} && echo wrote {file}"
            )
        };
        let mut script: Vec<String> = files.iter().map(|file| write(file)).collect();
        script.push(format!("mv {home}/.config/containers {home}/away && echo wrote moved"));
        script.push(write("store/other"));
        let script = script.join("; ");
        person.succeed(&["trust", "--yes"]);
        let storage = format!("{home}/store/storage.conf");
        let run = |words: &[&str]| {
            person.ringfence(words).env("CONTAINERS_STORAGE_CONF", &storage).output().unwrap()
        };
        let seen = text(&run(&["run", "--", "sh", "-c", &script]));
        let wrote: Vec<&str> = seen.lines().filter(|line| line.starts_with("wrote")).collect();
        assert_eq!(wrote, ["wrote store/other"], "{who:?}: {seen}");
        let log = person.succeed(&["log", "show", "--json"]);
        assert!(log.contains("podman and docker start programs"), "{who:?}: {log}");
        let oracle = text(&person.outside(&script));
        assert_eq!(oracle.matches("wrote").count(), files.len() + 2, "{oracle}");
    }
}

/// What an agent wrote into a directory that `PATH` names is not what the person's engine is.
#[test]
fn an_engine_that_an_agent_wrote_is_not_asked() {
    let scene = Scene::new(*Who::all().last().unwrap());
    let project = scene.person.project();
    let bin = project.join("bin");
    let theirs = format!(
        "mkdir -p bin; for it in podman docker sh; do printf '#!/bin/sh\\n: > {}/escaped-'$it'\\n' > bin/$it; chmod 755 bin/$it; done",
        project.display()
    );
    assert!(scene.person.outside(&theirs).status.success());
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
    let escaped = |name: &str| project.join(format!("escaped-{name}")).exists();
    let oracle = scene.person.outside(&format!("PATH={path}; podman"));
    assert!(oracle.status.success() && escaped("podman"), "the oracle");
    std::fs::remove_file(project.join("escaped-podman")).unwrap();
    for words in
        [&["doctor"][..], &["run", "--tier", "oci", "--image", "ringfence-busybox", "--", "true"]]
    {
        let output = scene.command(words).env("PATH", &path).output().unwrap();
        for name in ["podman", "docker", "sh"] {
            assert!(!escaped(name), "{words:?} started {name}: {}", err(&output));
        }
    }
}

#[test]
fn a_project_names_no_image_and_no_engine() {
    let scene = Scene::new(*Who::all().last().unwrap());
    for line in ["image = \"other\"", "engine = \"docker\""] {
        scene.person.write(".ringfence/settings.toml", &format!("[world]\n{line}\n"));
        let output = scene.command(&["trust", "--yes"]).output().unwrap();
        assert!(!output.status.success(), "{}", err(&output));
        assert!(err(&output).contains("may only restrict"), "{}", err(&output));
    }
}

/// Links of an image that lead elsewhere lead nowhere on the host, where its places are made. Not tried is `/dev`
/// itself: there some runtimes (runc 1.1.5) make links of their own before anything is ours.
#[test]
fn links_of_an_image_make_and_change_nothing_on_the_host() {
    for who in Who::all() {
        let scene = Scene::new(who);
        let canary = tempfile::tempdir().unwrap();
        fs::set_permissions(canary.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(canary.path().join("file"), "untouched\n").unwrap();
        fs::set_permissions(canary.path().join("file"), fs::Permissions::from_mode(0o666)).unwrap();
        let file = canary.path().join("file");
        for (number, (place, to)) in [
            ("etc/passwd", file.as_path()),
            ("etc/resolv.conf", file.as_path()),
            ("etc", canary.path()),
            ("tmp", canary.path()),
            ("proc", canary.path()),
            ("run", canary.path()),
            ("var", canary.path()),
        ]
        .into_iter()
        .enumerate()
        {
            let content = Content::busybox();
            let at = content.at(place);
            if at.is_dir() {
                fs::remove_dir_all(&at).unwrap();
            }
            symlink(to, &at).unwrap();
            let name = format!("ringfence-link-{number}");
            scene.images.import(&content, &name);
            let script = "echo changed > /etc/passwd; echo changed > /tmp/file; echo x > /run/x; \
                          echo changed > /etc/resolv.conf; mkdir /var/tmp/x; cat /etc/resolv.conf";
            let output = scene.run(&name, script);
            let said = text(&output);
            assert!(!said.contains("untouched"), "{who:?} {place}: {said}");
            let found: Vec<_> = fs::read_dir(canary.path()).unwrap().flatten().collect();
            assert_eq!(found.len(), 1, "{who:?} {place}: {found:?} {said}");
            assert_eq!(fs::read_to_string(&file).unwrap(), "untouched\n", "{who:?} {place}");
        }
        assert!(!scene.is_left(), "{}", scene.images.containers());
    }
}

#[test]
fn a_world_in_a_container_ends_with_its_broker_and_with_its_container() {
    for who in Who::all() {
        let scene = Scene::new(who);
        scene.images.import(&Content::busybox(), "ringfence-busybox");
        let beat = scene.person.project().join("beat");
        let script = "while true; do echo . >> beat; sleep 0.05; done";
        let words =
            ["run", "--tier", "oci", "--image", "ringfence-busybox", "--", "sh", "-c", script];
        let beats = || fs::metadata(&beat).map_or(0, |it| it.len());
        let stands_still = || {
            let before = beats();
            std::thread::sleep(Duration::from_millis(400));
            beats() == before
        };
        let start = || {
            let mut command = scene.command(&words);
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let before = beats();
            wait_until("it runs", || beats() > before);
            child
        };
        // setpriv becomes the program it starts: this is the broker.
        let mut broker = start();
        broker.kill().unwrap();
        broker.wait().unwrap();
        wait_until("it ends with its broker", stands_still);
        wait_until("its container is taken away", || !scene.is_left());
        let mut broker = start();
        let killed = scene.images.podman(&["kill", &scene.container()]).output().unwrap();
        assert!(killed.status.success(), "{}", text(&killed));
        assert!(!broker.wait().unwrap().success());
        wait_until("it ends with its container", stands_still);
        wait_until("its container is taken away", || !scene.is_left());
    }
}
