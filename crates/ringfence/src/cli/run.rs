//! Arguments of `run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ringfence_core::Trace;
use ringfence_runtime::broker::{Profile, Publish, Tier};

/// What is recorded besides acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Traced {
    /// Files that are opened to read, and those that are not there because no rule grants them.
    Files,
    /// The same, and how each process ended with all that it used, to its last moment.
    Full,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RunArgs {
    /// Policy file that stands in for the user's and the project's; may be repeated
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// The agent's identity in the policy [default: the command's base name]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// How the world is isolated: `namespaces`; `oci`, which makes the same within a container of an
    /// image; `landlock`, which needs no namespaces and holds less (`doctor` says what); or, both advisory,
    /// `ptrace`, where a tracer stops programs and asks, and `preload`, where a library in them asks [default: as `[world] tier` of the settings has it, else namespaces]
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,
    /// Of which image the container of the tier `oci` is, as podman or docker has it; none is fetched
    /// [default: as `[world] image` of the settings has it]
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Which system calls the world may make: `default`, `strict`, `build` (processes inside may trace
    /// each other) or `browser` (namespaces may be made inside) [default: as `[world] seccomp` of the
    /// settings has it, else default]
    #[arg(long, value_name = "PROFILE")]
    pub seccomp: Option<Profile>,
    /// Let this host's 127.0.0.1:PORT lead to the same port of the world's localhost, or
    /// HOST_PORT:PORT to another; may be repeated
    #[arg(long, value_name = "PORT")]
    pub publish: Vec<Publish>,
    /// Record more than acts, at a price: `files` has which files each process opens to read, `full` also
    /// what each used to its last moment
    #[arg(long, value_name = "WHAT")]
    pub trace: Option<Traced>,
    /// For a command that does not work in its world: as --trace=files, and say at the end what it tried
    /// to read and may not, with what would let it
    #[arg(long)]
    pub why: bool,
    /// Keep all changes aside: nothing reaches the host's files until `ringfence review commit`
    #[arg(long)]
    pub review: bool,
    /// Take a world that `ringfence warm` keeps ready for this project; where none fits, start as usual
    /// and say why
    #[arg(long)]
    pub warm: bool,
    /// Write the closing summary as one JSON object to stderr
    #[arg(long)]
    pub json: bool,
    /// What `mcp run` says of itself where it starts a server: the session ends with that process, and its
    /// world has the variables that `RINGFENCE_SERVER_ENV` holds, as an object of JSON
    #[arg(long, value_name = "PID", hide = true)]
    pub server_of: Option<u32>,
    /// What `mcp add` and `mcp test` say of a server besides: nothing can be granted to a session that is over soon
    #[arg(long, hide = true, requires = "server_of")]
    pub ends_soon: bool,
    /// Run a WASM module, with its arguments (those that begin with `-` after `--`), in a world in which it
    /// finds open what the policy grants, and no network
    #[arg(long, value_names = ["MODULE", "ARGS"], num_args = 1.., conflicts_with = "tier")]
    pub wasm: Vec<OsString>,
    /// The command to start, with its arguments
    #[arg(last = true, required_unless_present = "wasm", value_name = "CMD")]
    pub command: Vec<OsString>,
}

impl RunArgs {
    /// What is to be recorded besides acts.
    pub fn traced(&self) -> Trace {
        match (self.trace, self.why) {
            (None, false) => Trace::Off,
            (Some(Traced::Files), _) | (None, true) => Trace::Files,
            (Some(Traced::Full), _) => Trace::Full,
        }
    }
}
