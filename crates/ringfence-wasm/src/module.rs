//! One module, from its file to its end.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use ringfence_core::{PreopenAccess, WasmEnd, WasmJob, WasmLimit};
use wasmtime::component::{Component, ResourceTable};
use wasmtime::{Config, Engine, Module, Store, Trap};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::limiter::{Limiter, OutOfMemory};

/// Largest module, in bytes: it is read and compiled as a whole.
const MODULE_BYTES_MAX: u64 = 256 << 20;
/// How often the time is looked at.
const EPOCH: Duration = Duration::from_millis(100);
/// How many of these are a second.
const EPOCHS_PER_SECOND: u64 = 10;
/// How long after its time a module that computes has to be ended by its own trap.
const TRAP: Duration = Duration::from_millis(500);
/// The stack of the thread that runs the module, in bytes: what the first thread of a program has.
const STACK_BYTES: usize = 8 << 20;
/// What a component begins with: the version that modules have otherwise.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// What a store holds of a module of WASI preview 1.
struct OfModule {
    wasi: WasiP1Ctx,
    limiter: Limiter,
}

/// What a store holds of a component of WASI preview 2.
struct OfComponent {
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: Limiter,
}

impl WasiView for OfComponent {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What the thread of the module says to the one that keeps the time.
enum Told {
    /// The first instruction is next; the time of this engine runs.
    Begins(Engine),
    /// It ended by itself.
    Ended(WasmEnd),
}

/// Runs a module from start to end.
///
/// In a thread of its own: a call of the host that waits, for the clock or for what never comes, looks at no
/// epoch. When the time is over, that thread is left where it is, and ends with the process.
pub(crate) fn run(job: WasmJob) -> WasmEnd {
    let (tell, told) = mpsc::sync_channel(2);
    let seconds_max = job.limits.seconds_max;
    let thread = std::thread::Builder::new().name("module".to_owned()).stack_size(STACK_BYTES);
    let runs = thread.spawn(move || {
        let end = run_here(&job, &tell);
        // Whoever kept the time has ended it by now.
        let _ = tell.send(Told::Ended(end));
    });
    match runs {
        Ok(_) => wait(&told, seconds_max),
        Err(error) => WasmEnd::Unfit(format!("no thread to run it: {error}")),
    }
}

/// Waits for the end of the module, or for the end of its time.
fn wait(told: &Receiver<Told>, seconds_max: Option<u64>) -> WasmEnd {
    let engine = match told.recv() {
        Ok(Told::Begins(engine)) => engine,
        Ok(Told::Ended(end)) => return end,
        Err(mpsc::RecvError) => return broken(),
    };
    let most = seconds_max.map(|seconds| Duration::from_secs(seconds).saturating_add(TRAP));
    let began = Instant::now();
    loop {
        match told.recv_timeout(EPOCH) {
            Ok(Told::Ended(end)) => return end,
            Ok(Told::Begins(_)) => {}
            Err(RecvTimeoutError::Timeout) => engine.increment_epoch(),
            Err(RecvTimeoutError::Disconnected) => return broken(),
        }
        if most.is_some_and(|most| began.elapsed() >= most) {
            return WasmEnd::Limit(WasmLimit::Seconds);
        }
    }
}

/// What is said where the thread of the module is gone without a word.
fn broken() -> WasmEnd {
    WasmEnd::Trapped("its thread broke off".to_owned())
}

fn run_here(job: &WasmJob, tell: &SyncSender<Told>) -> WasmEnd {
    let bytes = match read(job.module.as_path()) {
        Ok(bytes) => bytes,
        Err(end) => return end,
    };
    let engine = match Engine::new(&config(job)) {
        Ok(engine) => engine,
        Err(error) => return unfit(&error),
    };
    let ended = if bytes.starts_with(COMPONENT) {
        run_component(job, &engine, (&bytes, tell))
    } else {
        run_module(job, &engine, (&bytes, tell))
    };
    ended.unwrap_or_else(|end| end)
}

/// The file, as the world shows it.
fn read(path: &Path) -> Result<Vec<u8>, WasmEnd> {
    let unopened = |error: std::io::Error| WasmEnd::Unopened(error.raw_os_error().unwrap_or(0));
    let file = File::open(path).map_err(unopened)?;
    let mut bytes = Vec::new();
    file.take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unopened)?;
    if bytes.len() as u64 > MODULE_BYTES_MAX {
        return Err(WasmEnd::Unfit(format!("it has more than {MODULE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn config(job: &WasmJob) -> Config {
    let mut config = Config::new();
    config.consume_fuel(job.limits.fuel_max.is_some());
    config.epoch_interruption(job.limits.seconds_max.is_some());
    // By a file without a name in memory, which a world of the profile `strict` does not make.
    config.memory_init_cow(false);
    config
}

/// A module of WASI preview 1: its `_start` is the program.
fn run_module(
    job: &WasmJob,
    engine: &Engine,
    (bytes, tell): (&[u8], &SyncSender<Told>),
) -> Result<WasmEnd, WasmEnd> {
    let module = Module::new(engine, bytes).map_err(|error| unfit(&error))?;
    let mut linker = wasmtime::Linker::<OfModule>::new(engine);
    p1::add_to_linker_sync(&mut linker, |of| &mut of.wasi).map_err(|error| unfit(&error))?;
    let wasi = offered(job)?.build_p1();
    let limiter = Limiter::new(job.limits.memory_bytes_max);
    let mut store = Store::new(engine, OfModule { wasi, limiter });
    store.limiter(|of| &mut of.limiter);
    bound(job, &mut store, tell)?;
    let instance =
        linker.instantiate(&mut store, &module).map_err(|error| fault(&error, Stage::Start))?;
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start").map_err(|_| {
        WasmEnd::Unfit(
            "it has no `_start` that takes and gives nothing: it is a library".to_owned(),
        )
    })?;
    let ended = start.call(&mut store, ());
    ended.map_or_else(|error| Err(fault(&error, Stage::Run)), |()| Ok(WasmEnd::Exited(0)))
}

/// A component of WASI preview 2: `wasi:cli/run` is the program.
fn run_component(
    job: &WasmJob,
    engine: &Engine,
    (bytes, tell): (&[u8], &SyncSender<Told>),
) -> Result<WasmEnd, WasmEnd> {
    let component = Component::new(engine, bytes).map_err(|error| unfit(&error))?;
    let mut linker = wasmtime::component::Linker::<OfComponent>::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(|error| unfit(&error))?;
    let wasi = offered(job)?.build();
    let limiter = Limiter::new(job.limits.memory_bytes_max);
    let mut store = Store::new(engine, OfComponent { wasi, table: ResourceTable::new(), limiter });
    store.limiter(|of| &mut of.limiter);
    bound(job, &mut store, tell)?;
    let command = Command::instantiate(&mut store, &component, &linker)
        .map_err(|error| fault(&error, Stage::Start))?;
    match command.wasi_cli_run().call_run(&mut store) {
        Ok(Ok(())) => Ok(WasmEnd::Exited(0)),
        Ok(Err(())) => Ok(WasmEnd::Exited(1)),
        Err(error) => Err(fault(&error, Stage::Run)),
    }
}

/// What the module finds: streams, arguments, environment, open directories, and no network.
fn offered(job: &WasmJob) -> Result<WasiCtxBuilder, WasmEnd> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.inherit_stdio().args(&job.args);
    // Nobody else waits meanwhile: a module has one thread.
    wasi.allow_blocking_current_thread(true);
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    for (name, value) in std::env::vars_os() {
        // WASI knows no other text.
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
            wasi.env(name, value);
        }
    }
    for open in &job.preopens {
        let most = match open.access {
            PreopenAccess::Read => FsPerms::ReadOnly,
            PreopenAccess::Write => FsPerms::ReadWrite,
        };
        let opened = wasi.preopened_dir(open.dir.as_path(), &open.name, most);
        opened.map_err(|error| unfit(&error.context(format!("cannot open `{}`", open.dir))))?;
    }
    Ok(wasi)
}

/// Holds a store to fuel and time, which runs from here.
fn bound<T>(job: &WasmJob, store: &mut Store<T>, tell: &SyncSender<Told>) -> Result<(), WasmEnd> {
    if let Some(fuel) = job.limits.fuel_max {
        store.set_fuel(fuel).map_err(|error| unfit(&error))?;
    }
    if let Some(seconds) = job.limits.seconds_max {
        store.set_epoch_deadline(seconds.saturating_mul(EPOCHS_PER_SECOND));
    }
    // Without a clock the module would never be ended.
    tell.send(Told::Begins(store.engine().clone()))
        .map_err(|_| WasmEnd::Unfit("nobody keeps its time".to_owned()))
}

/// Where an error came from.
enum Stage {
    /// Before the module's own program.
    Start,
    /// From its program.
    Run,
}

/// How a module ended that did not return.
fn fault(error: &wasmtime::Error, stage: Stage) -> WasmEnd {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return WasmEnd::Exited(exit.0);
    }
    if error.downcast_ref::<OutOfMemory>().is_some() {
        return WasmEnd::Limit(WasmLimit::Memory);
    }
    match (error.downcast_ref::<Trap>(), stage) {
        (Some(Trap::OutOfFuel), _) => WasmEnd::Limit(WasmLimit::Fuel),
        (Some(Trap::Interrupt), _) => WasmEnd::Limit(WasmLimit::Seconds),
        (Some(trap), _) => WasmEnd::Trapped(trap.to_string()),
        (None, Stage::Start) => unfit(error),
        (None, Stage::Run) => WasmEnd::Trapped(one_line(error)),
    }
}

fn unfit(error: &wasmtime::Error) -> WasmEnd {
    WasmEnd::Unfit(one_line(error))
}

fn one_line(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
