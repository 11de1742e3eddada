//! What people put between clients and servers where one speaks over HTTP and the other over standard streams, beside
//! the gate that does the same.

use super::super::Row;
use super::super::net::ratio;
use super::{Gate, SETTLE, Stage, Web, everything_in, post, ringfence, words};
use crate::setup;

/// Counted rounds of all sides in turn: most of them take seconds to start.
const ROUNDS: usize = 3;
/// Calls of each side in a round.
const CALLS: usize = 200;

/// Calls to `server-everything` through each of them.
pub(crate) fn between() -> Result<Vec<Row>, String> {
    let dir = setup::between()?;
    let stage = Stage::new("mcp-between")?;
    let server = stage.everything()?;
    let web = Web::everything(&stage)?;
    stage.add("everything", &[&["--"], &words(&server)[..]].concat())?;
    let program = |name: &str| dir.join(name).display().to_string();
    let supergateway = program("node_modules/supergateway/dist/index.js");
    let mcp_remote = program("node_modules/mcp-remote/dist/proxy.js");
    let mcp_proxy = program("python/bin/mcp-proxy");
    let url = web.url();

    // Clients over standard streams, the server over HTTP.
    let ours = ringfence().display().to_string();
    let mut sides = vec![
        call(&[&ours, "mcp", "run", "--agent", "bench", "web"]),
        call(&["node", &supergateway, "--streamableHttp", &url, "--logLevel", "none"]),
        call(&[&mcp_proxy, "--transport", "streamablehttp", &url, "--log-level", "ERROR"]),
        call(&["node", &mcp_remote, &url, "--allow-http", "--transport", "http-only"]),
    ];
    // Clients over HTTP, the server over standard streams.
    let gate = Gate::serve(&stage, &["everything"])?;
    let line = everything_in(&setup::agents(), "stdio").join(" ");
    let listens = ["--port", "PORT", "--stateful", "--logLevel", "none"];
    let to_streams = ["node", &supergateway, "--stdio", &line, "--outputTransport"];
    let others = [
        Web::listening(&owned(&[&to_streams[..], &["streamableHttp"], &listens].concat()))?,
        Web::listening(&owned(
            &[
                &[&mcp_proxy, "--port", "PORT", "--log-level", "ERROR", "--"],
                &words(&everything_in(&setup::agents(), "stdio"))[..],
            ]
            .concat(),
        ))?,
    ];
    sides.push(post(CALLS, gate.at()));
    sides.extend(others.iter().map(|it| post(CALLS, (it.url(), "-".to_owned()))));
    let times = rounds(&stage, &sides)?;
    let [run, rest @ ..] = times.as_slice() else { return Err("no sides".to_owned()) };
    let names = ["`supergateway`", "`mcp-proxy`", "`mcp-remote`"];
    let mut rows: Vec<Row> = names
        .iter()
        .zip(rest)
        .map(|(name, times)| {
            ratio(
                &format!("`server-everything` over HTTP, `mcp run` against {name}"),
                MARKS,
                run,
                times,
            )
        })
        .collect();
    let [_, _, _, served, rest @ ..] = rest else { return Err("no sides".to_owned()) };
    rows.extend(names.iter().zip(rest).map(|(name, times)| {
        ratio(
            &format!("`server-everything` over stdio, `mcp serve` against {name}"),
            MARKS,
            served,
            times,
        )
    }));
    Ok(rows)
}

/// No slower than what decides nothing.
const MARKS: (&str, &str) = ("1x", "0.5x");

fn call(command: &[&str]) -> Vec<String> {
    let count = CALLS.to_string();
    owned(&[&["call", &count, "echo"], command].concat())
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|it| (*it).to_owned()).collect()
}

/// All sides in turn, round after round, after one that is not counted.
fn rounds(stage: &Stage, sides: &[Vec<String>]) -> Result<Vec<Vec<f64>>, String> {
    let mut numbers = vec![Vec::new(); sides.len()];
    for round in 0..=ROUNDS {
        for (side, numbers) in sides.iter().zip(&mut numbers) {
            let number = stage.measure(side)?;
            if round > 0 {
                numbers.push(number);
            }
            std::thread::sleep(SETTLE);
        }
    }
    Ok(numbers)
}
