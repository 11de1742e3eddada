//! A WASM module as what a session runs: looked at outside, run by a program of ours in the world.
//!
//! The world is one of the default tier, with all that holds there; the module has less still: the
//! directories that the plan grants, its streams, and no network.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ringfence_core::{
    AbsolutePath, Act, CommandLine, Durability, Event, Exec, FileIdentity, Gate, LayerState,
    LayerStatus, Preopen, PreopenAccess, WasmEnd, WasmJob, WasmLimits,
};
use ringfence_sandbox::notify::ExecAttempt;
use ringfence_sandbox::world::{Access, Bind, Tier, WorldSpec};
use rustix::io::Errno;

use crate::bounds::RAISE_HINT;
use crate::broker::{NotStarted, RunRequest, Said, Whose, grants_for};
use crate::compose::{self, ComposeError, Layout, Private, Use};
use crate::notice::Notice;
use crate::settings::LimitSettings;
use crate::state::StateDirs;
use crate::wording::printable;

/// What every WASM file begins with.
const MAGIC: [u8; 4] = *b"\0asm";
/// Where the program that runs modules is in the world.
const RUNNER: &str = "/run/ringfence/wasm";
/// Where it says how the module ended.
const END: &str = "/run/ringfence/wasm-end.json";
/// The world's own directory for what is temporary.
const TEMPORARY: &str = "/tmp";
/// Most that is read of what a runner says, in bytes.
const END_BYTES_MAX: u64 = 64 * 1024;

/// A module that was found and looked at.
#[derive(Debug, Clone)]
pub struct Module {
    runner: PathBuf,
    path: AbsolutePath,
    identity: FileIdentity,
    args: Vec<String>,
}

/// Why a module cannot be run here.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// Nothing here can run modules.
    #[error("this Ringfence has no program beside it that runs WASM modules (`{}`)", .0.display())]
    NoRunner(PathBuf),
    /// There is no such file, or it cannot be read.
    #[error("cannot read the module `{}`: {source}", printable(&path.to_string_lossy()))]
    Unread {
        /// As it was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "`{}` is no WASM module: it does not begin with the bytes `00 61 73 6d`",
        printable(&.0.to_string_lossy())
    )]
    NotWasm(PathBuf),
    /// WASI and policies know UTF-8 alone.
    #[error("the module's path and its arguments must be UTF-8")]
    NotUtf8,
    /// Another tier was named.
    #[error("a WASM module runs in a world of the tier `namespaces`, not of `{0}`")]
    OtherTier(Tier),
}

impl ModuleError {
    /// What the person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            ModuleError::NoRunner(_) => Some(
                "to build it and put it beside `ringfence`, run `cargo install --path \
                 crates/ringfence-wasm --features wasm` where Ringfence's source is"
                    .to_owned(),
            ),
            ModuleError::OtherTier(_) => {
                Some("take `tier` out of `[world]` in the settings".to_owned())
            }
            ModuleError::Unread { .. } | ModuleError::NotWasm(_) | ModuleError::NotUtf8 => None,
        }
    }

    /// The exit code, as `env(1)` has it for programs.
    pub fn exit_code(&self) -> u8 {
        match self {
            ModuleError::NoRunner(_) | ModuleError::NotUtf8 | ModuleError::OtherTier(_) => 125,
            ModuleError::Unread { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            ModuleError::Unread { .. } | ModuleError::NotWasm(_) => 126,
        }
    }
}

impl Module {
    /// The module that a request is about, if it is about one; nothing is made before it is found.
    pub(crate) fn of(request: &RunRequest) -> Result<Option<Module>, ModuleError> {
        let Some(runner) = &request.wasm_runner else { return Ok(None) };
        let runner = runner.canonicalize().map_err(|_| ModuleError::NoRunner(runner.clone()))?;
        let named = PathBuf::from(request.command.first().cloned().unwrap_or_default());
        let unread = |source| ModuleError::Unread { path: named.clone(), source };
        let real = request.cwd.join(&named).canonicalize().map_err(unread)?;
        let mut file = File::open(&real).map_err(unread)?;
        let found = file.metadata().map_err(unread)?;
        let mut first = [0; MAGIC.len()];
        let read = if found.is_file() { file.read_exact(&mut first) } else { Ok(()) };
        if read.is_err() || first != MAGIC {
            return Err(ModuleError::NotWasm(named));
        }
        let text = |word: &OsString| word.to_str().map(str::to_owned);
        let args: Option<Vec<String>> = request.command.iter().map(text).collect();
        Ok(Some(Module {
            runner,
            path: real
                .to_str()
                .and_then(|it| AbsolutePath::parse(it).ok())
                .ok_or(ModuleError::NotUtf8)?,
            identity: FileIdentity { device: found.dev(), inode: found.ino() },
            args: args.ok_or(ModuleError::NotUtf8)?,
        }))
    }

    /// Modules are run in worlds of one tier.
    pub(crate) fn fits(module: Option<&Module>, tier: Tier) -> Result<(), ModuleError> {
        match tier {
            // What runs a module needs the host's libraries, which an image may not have.
            Tier::Landlock | Tier::Oci | Tier::Preload | Tier::Ptrace if module.is_some() => {
                Err(ModuleError::OtherTier(tier))
            }
            Tier::Landlock | Tier::Oci | Tier::Preload | Tier::Ptrace | Tier::Namespaces => Ok(()),
        }
    }

    /// Puts the runner, and the file in which it says how the module ended, into the world.
    pub(crate) fn furnish(
        &self,
        layout: &mut Layout,
        private: &Private,
    ) -> Result<(), ComposeError> {
        private.write(&private.wasm_end(), b"", 0o600)?;
        layout.bind_private(Path::new(RUNNER), &self.runner, Use::Read);
        layout.bind_private(Path::new(END), &private.wasm_end(), Use::Write);
        Ok(())
    }
}

/// The one start of a runner that stands for its module's.
#[derive(Debug)]
pub struct ModuleStart {
    runner: AbsolutePath,
    exec: Exec,
    over: AtomicBool,
}

impl ModuleStart {
    /// What the first start in the world means; whatever is started later is what it is.
    pub(crate) fn take(&self, attempt: &ExecAttempt) -> Option<Act> {
        let first = !self.over.swap(true, Ordering::AcqRel);
        (first && attempt.program == self.runner).then(|| Act::Exec(self.exec.clone()))
    }
}

/// How the module of a session ends, if it runs one.
#[derive(Debug)]
pub(crate) struct ModuleEnd {
    module: Option<Module>,
    limits: WasmLimits,
    /// Where the runner says it, on the host.
    said: PathBuf,
}

impl ModuleEnd {
    /// Of what is to be run, and where that will be said.
    pub(crate) fn of(
        asked: &compose::RunRequest,
        dirs: &StateDirs,
        limits: &LimitSettings,
    ) -> ModuleEnd {
        let said = Private::wasm_end_in(&dirs.private_of(&asked.session));
        ModuleEnd { module: asked.module.clone(), limits: of_settings(limits), said }
    }

    /// Has the world run the module, if there is one, and says what that is as layers.
    pub(crate) fn take_over(&self, spec: &mut WorldSpec) -> Result<Vec<LayerStatus>, ModuleError> {
        let Some(module) = &self.module else { return Ok(Vec::new()) };
        let preopens = preopens(spec)?;
        let layers = layers(spec, &preopens, &self.limits);
        let job = WasmJob {
            module: module.path.clone(),
            args: module.args.clone(),
            preopens,
            limits: self.limits,
            end: utf8(Path::new(END))?,
        };
        let job = serde_json::to_string(&job).map_err(|_| ModuleError::NotUtf8)?;
        spec.argv = vec![RUNNER.into(), job.into()];
        Ok(layers)
    }

    /// The start of the module, which is decided in the place of its runner's.
    pub(crate) fn start(&self, cwd: &Path) -> Option<ModuleStart> {
        let module = self.module.as_ref()?;
        let argv: Vec<Vec<u8>> = module.args.iter().map(|it| it.as_bytes().to_vec()).collect();
        Some(ModuleStart {
            runner: utf8(Path::new(RUNNER)).ok()?,
            exec: Exec {
                program: module.path.clone(),
                identity: module.identity,
                command_line: CommandLine::new(module.path.file_name(), &argv),
                cwd: utf8(cwd).ok()?,
            },
            over: AtomicBool::new(false),
        })
    }

    /// What the runner has said; nothing where it was ended before.
    fn end(&self) -> Option<WasmEnd> {
        self.module.as_ref()?;
        let mut text = Vec::new();
        File::open(&self.said).ok()?.take(END_BYTES_MAX).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The limit that has ended the module: recorded, and to be said.
    pub(crate) fn limit(&self, gate: &Gate) -> Option<Notice> {
        let Some(WasmEnd::Limit(limit)) = self.end() else { return None };
        let (name, most) = self.limits.named(limit);
        // One that was not set cannot have been reached, whatever is said.
        let most = most?;
        let event = Event::LimitReached { limit: name.to_owned(), most, unseen: None };
        // A log that fails ends the session by itself.
        let _ = gate.note(event, Durability::Soon);
        let text = format!("the module was ended: it reached `{name} = {most}`");
        Some(Notice::new(text).hint(RAISE_HINT))
    }

    /// Why nothing of the module ran, although its runner did.
    pub(crate) fn not_started(&self, whose: &Whose) -> Option<NotStarted> {
        let module = self.module.as_ref()?;
        let name = printable(module.args.first()?);
        let (reason, hints) = match self.end()? {
            WasmEnd::Unopened(errno) if errno == Errno::NOENT.raw_os_error() => (
                format!("`{name}` is not in this world, only outside of it"),
                grants_for(&[module.path.as_path().to_owned()], whose),
            ),
            WasmEnd::Unopened(errno) => {
                (format!("cannot read `{name}`: {}", Errno::from_raw_os_error(errno)), Vec::new())
            }
            WasmEnd::Unfit(why) => {
                (format!("cannot run `{name}`: {}", printable(&why)), Vec::new())
            }
            WasmEnd::Exited(_) | WasmEnd::Trapped(_) | WasmEnd::Limit(_) => return None,
        };
        Some(NotStarted { reason, hints, said: Said::NotYet })
    }
}

fn of_settings(limits: &LimitSettings) -> WasmLimits {
    WasmLimits {
        fuel_max: limits.wasm_fuel_max,
        seconds_max: limits.wasm_seconds_max,
        memory_bytes_max: limits.wasm_memory_bytes_max,
    }
}

/// Directories of the host that the plan shows; what is beneath one that allows as much is in it.
fn preopens(spec: &WorldSpec) -> Result<Vec<Preopen>, ModuleError> {
    let mut shown: Vec<&Bind> =
        spec.binds.iter().filter(|bind| is_planned(bind) && bind.target.is_dir()).collect();
    shown.sort_by(|one, other| one.target.cmp(&other.target));
    let mut open: Vec<Preopen> = Vec::new();
    for bind in shown {
        let access = access(bind);
        // What may only be read in a tree that may be written is held by a mount.
        let more =
            |above: &Preopen| (above.access, access) == (PreopenAccess::Read, PreopenAccess::Write);
        if above(&open, &bind.target).is_none_or(more) {
            let dir = utf8(&bind.target)?;
            open.push(Preopen { name: dir.as_str().to_owned(), dir, access });
        }
    }
    let here = above(&open, &spec.cwd).map(|above| above.access);
    if let Some(access) = here {
        open.insert(0, Preopen { dir: utf8(&spec.cwd)?, name: ".".to_owned(), access });
    }
    let (dir, name) = (utf8(Path::new(TEMPORARY))?, TEMPORARY.to_owned());
    open.push(Preopen { dir, name, access: PreopenAccess::Write });
    Ok(open)
}

/// Whether something is of the host's, at its own place: what is ours comes from elsewhere.
fn is_planned(bind: &Bind) -> bool {
    bind.source == bind.target
}

fn access(bind: &Bind) -> PreopenAccess {
    match bind.access {
        Access::Read => PreopenAccess::Read,
        Access::Write | Access::Overlay => PreopenAccess::Write,
    }
}

/// The deepest open directory that a path is, or is in.
fn above<'a>(open: &'a [Preopen], path: &Path) -> Option<&'a Preopen> {
    let above = open.iter().filter(|open| path.starts_with(open.dir.as_path()));
    above.max_by_key(|open| open.dir.as_str().len())
}

fn utf8(path: &Path) -> Result<AbsolutePath, ModuleError> {
    let path = path.to_str().and_then(|it| AbsolutePath::parse(it).ok());
    path.ok_or(ModuleError::NotUtf8)
}

/// What holds a module besides its world.
fn layers(spec: &WorldSpec, preopens: &[Preopen], limits: &WasmLimits) -> Vec<LayerStatus> {
    let to_write = preopens.iter().filter(|open| open.access == PreopenAccess::Write).count();
    let files = spec.binds.iter().filter(|bind| is_planned(bind) && !bind.target.is_dir()).count();
    let set = [
        ("fuel", limits.fuel_max),
        ("seconds", limits.seconds_max),
        ("bytes of memory", limits.memory_bytes_max),
    ];
    let set: Vec<String> = set
        .iter()
        .filter_map(|(name, most)| Some(format!("at most {} {name}", (*most)?)))
        .collect();
    let set = if set.is_empty() { "no limits of its own".to_owned() } else { set.join(", ") };
    let detail = format!(
        "WASI preview 1 and 2: {} directories open, {to_write} of them to write; {files} single files \
         of the plan cannot be reached; no sockets, no names, no programs; {set}",
        preopens.len()
    );
    let tier = "`wasm`: a module, run by wasmtime in a world of the tier `namespaces`";
    let layer = |layer: &str, detail: &str| LayerStatus {
        layer: layer.to_owned(),
        state: LayerState::Enforced,
        detail: detail.to_owned(),
    };
    vec![layer("tier", tier), layer("wasm", &detail)]
}
