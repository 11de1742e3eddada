//! The host's users, from `/etc/passwd`.

use std::fs;
use std::path::PathBuf;

/// One line of the password file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
}

/// The user with this id, if the password file has one (others, such as LDAP, are not asked).
pub fn by_id(uid: u32) -> Option<User> {
    all().into_iter().find(|user| user.uid == uid)
}

/// The user of this name.
pub fn by_name(name: &str) -> Option<User> {
    all().into_iter().find(|user| user.name == name)
}

fn all() -> Vec<User> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines().filter_map(parse_line).collect()
}

/// `name:password:uid:gid:comment:home:shell`, passwd(5).
fn parse_line(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = PathBuf::from(fields.nth(1)?);
    Some(User { name, uid, gid, home })
}

/// The login name of whoever started the session.
pub(crate) fn own_name() -> String {
    let uid = rustix::process::getuid().as_raw();
    by_id(uid).map_or_else(|| format!("user {uid}"), |user| user.name)
}
