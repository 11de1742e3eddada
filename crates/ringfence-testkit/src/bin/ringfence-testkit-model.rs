//! The scripted model server as a process: prints its URL, serves until it is killed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use ringfence_testkit::model::{ModelServer, Script};

const USAGE: &str =
    "usage: ringfence-testkit-model --script FILE.json [--port PORT] [--requests-out FILE]";

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A broken stderr leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn serve() -> Result<(), String> {
    let (mut script, mut port, mut requests_out) = (None, 0_u16, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match flag.as_str() {
            "--script" => script = Some(PathBuf::from(value)),
            "--port" => port = value.parse().map_err(|_| format!("`{value}` is not a port"))?,
            "--requests-out" => requests_out = Some(PathBuf::from(value)),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let script = script.ok_or(USAGE)?;
    let script = Script::read(&script).map_err(|error| format!("{}: {error}", script.display()))?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let server = ModelServer::start_on(address, script, requests_out)
        .map_err(|error| format!("{address}: {error}"))?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", server.url()).and_then(|()| out.flush()).map_err(|e| e.to_string())?;
    loop {
        std::thread::park();
    }
}
