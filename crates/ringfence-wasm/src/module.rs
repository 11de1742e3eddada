//! One module, from its file to its end.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

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

/// Runs a module from start to end.
pub(crate) fn run(job: &WasmJob) -> WasmEnd {
    let bytes = match read(job.module.as_path()) {
        Ok(bytes) => bytes,
        Err(end) => return end,
    };
    let engine = match Engine::new(&config(job)) {
        Ok(engine) => engine,
        Err(error) => return unfit(&error),
    };
    let ended = if bytes.starts_with(COMPONENT) {
        run_component(job, &engine, &bytes)
    } else {
        run_module(job, &engine, &bytes)
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
fn run_module(job: &WasmJob, engine: &Engine, bytes: &[u8]) -> Result<WasmEnd, WasmEnd> {
    let module = Module::new(engine, bytes).map_err(|error| unfit(&error))?;
    let mut linker = wasmtime::Linker::<OfModule>::new(engine);
    p1::add_to_linker_sync(&mut linker, |of| &mut of.wasi).map_err(|error| unfit(&error))?;
    let wasi = offered(job)?.build_p1();
    let limiter = Limiter::new(job.limits.memory_bytes_max);
    let mut store = Store::new(engine, OfModule { wasi, limiter });
    store.limiter(|of| &mut of.limiter);
    bound(job, &mut store)?;
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
fn run_component(job: &WasmJob, engine: &Engine, bytes: &[u8]) -> Result<WasmEnd, WasmEnd> {
    let component = Component::new(engine, bytes).map_err(|error| unfit(&error))?;
    let mut linker = wasmtime::component::Linker::<OfComponent>::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(|error| unfit(&error))?;
    let wasi = offered(job)?.build();
    let limiter = Limiter::new(job.limits.memory_bytes_max);
    let mut store = Store::new(engine, OfComponent { wasi, table: ResourceTable::new(), limiter });
    store.limiter(|of| &mut of.limiter);
    bound(job, &mut store)?;
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

/// Holds a store to fuel and time.
fn bound<T>(job: &WasmJob, store: &mut Store<T>) -> Result<(), WasmEnd> {
    if let Some(fuel) = job.limits.fuel_max {
        store.set_fuel(fuel).map_err(|error| unfit(&error))?;
    }
    let Some(seconds) = job.limits.seconds_max else { return Ok(()) };
    store.set_epoch_deadline(seconds.saturating_mul(EPOCHS_PER_SECOND));
    let engine = store.engine().clone();
    let clock = std::thread::Builder::new().name("epochs".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(EPOCH);
            engine.increment_epoch();
        }
    });
    // Without a clock the module would never be ended.
    clock.map(|_| ()).map_err(|error| WasmEnd::Unfit(format!("no thread for its clock: {error}")))
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
