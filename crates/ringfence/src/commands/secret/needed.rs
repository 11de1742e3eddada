//! What needs a secret: servers that send it, and rules that speak of it.

use ringfence_core::SecretName;

use super::in_force;
use crate::cli::SecretRemoveArgs;
use crate::exit::Failure;
use crate::prompt::{self, Consent};
use crate::screen::Screen;

/// Says what needs a secret here, and asks whether it is forgotten all the same; nothing is asked where nothing does.
pub(super) fn agreed(args: &SecretRemoveArgs, screen: &Screen) -> Result<Consent, Failure> {
    let name = &args.name;
    let needs = needs(name)?;
    for line in &needs {
        screen.note(line);
    }
    if needs.is_empty() || args.yes {
        return Ok(Consent::Given);
    }
    let question = format!("forget `{name}` all the same?");
    prompt::consent(&question, "to forget it all the same, add `--yes`")
}

/// What needs it, of what holds in this directory, each in a line.
fn needs(name: &SecretName) -> Result<Vec<String>, Failure> {
    let Some(found) = in_force::quietly(&[])? else {
        let unknown = format!(
            "whether anything needs `{name}` is not known: the policy cannot be used as it is (`ringfence policy check`)"
        );
        return Ok(vec![unknown]);
    };
    let stands = format!("${{secret:{name}}}");
    let sends =
        found.servers.values().filter(|it| it.file.headers.values().any(|it| it.contains(&stands)));
    let servers = sends.map(|it| format!("the server `{}` sends it with each request", it.name));
    let rules = in_force::spoken_of(&found, &[format!("Secret::\"{name}\"")]);
    Ok(servers.chain(rules.into_iter().map(|it| format!("a rule speaks of it: {it}"))).collect())
}
