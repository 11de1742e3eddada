//! A path as a server will come to it: from its working directory, links followed, spelt as the disk has it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use ringfence_core::AbsolutePath;

/// Most links on the way to a file.
const LINKS_MAX: u32 = 40;

/// Directories in which another process finds other things than we do.
const OF_EACH_PROCESS: [&str; 5] = ["/proc", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr"];

/// Where relative paths begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// The home directory, for `~`.
    pub(super) home: &'a Path,
    /// The directory that relative paths begin in.
    pub(super) base: &'a Path,
}

/// Where a text leads that names a file, whether or not it is there. What has two readings has none.
pub(super) fn resolve(text: &str, places: Places<'_>) -> Result<AbsolutePath, String> {
    let text = plain(text)?;
    let given = match text.strip_prefix('~') {
        Some("") => places.home.to_owned(),
        Some(rest) => match rest.strip_prefix('/') {
            Some(rest) => places.home.join(rest),
            None => return Err("another user's home is not told of".to_owned()),
        },
        None => places.base.join(text),
    };
    let wrong = |error: &dyn std::fmt::Display| error.to_string();
    let shown = given.to_str().ok_or("it is not UTF-8")?;
    let lexical = AbsolutePath::parse(shown).map_err(|error| wrong(&error))?;
    // A server may take `..` away before it follows links, or after.
    let first = really(lexical.as_path(), LINKS_MAX).map_err(|error| wrong(&error))?;
    if text.split('/').any(|part| part == "..") {
        let second = really(&given, LINKS_MAX).map_err(|error| wrong(&error))?;
        if first != second {
            return Err("behind a link `..` has two meanings".to_owned());
        }
    }
    let spelt = as_listed(&first, &Disk::HOST)?;
    let path = AbsolutePath::parse(spelt.to_str().ok_or("it is not UTF-8")?);
    let path = path.map_err(|error| wrong(&error))?;
    let own = [lexical.as_str(), path.as_str()];
    if OF_EACH_PROCESS.iter().any(|dir| own.iter().any(|path| is_of(path, dir))) {
        return Err("it leads to something else in each process".to_owned());
    }
    Ok(path)
}

fn is_of(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path that a text is, if it can be read in one way only.
fn plain(text: &str) -> Result<&str, String> {
    let text = match text.strip_prefix("file://") {
        Some(rest) if rest.starts_with('/') && !rest.contains(['%', '?', '#']) => rest,
        Some(_) => return Err("this address of a file has more than one reading".to_owned()),
        None if has_scheme(text) => {
            return Err("what begins as an address is no path here".to_owned());
        }
        None => text,
    };
    let why = if text.contains(char::is_control) {
        "a path with control characters has two readings"
    } else if text.contains('\\') {
        "a path with a backslash has two readings"
    } else if text.trim_matches(|at: char| at.is_whitespace() || "\"'`".contains(at)) != text {
        // Servers take these away before they look.
        "a path that begins or ends with spaces or quotation marks has two readings"
    } else if is_encoded(text) {
        "a path with `%` and two digits has two readings"
    } else {
        return Ok(text);
    };
    Err(why.to_owned())
}

fn is_encoded(text: &str) -> bool {
    text.split('%').skip(1).any(|rest| {
        let digits = rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
        digits == 2
    })
}

/// Whether a text begins as an address does, RFC 3986 section 3.1.
pub(super) fn has_scheme(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else { return false };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "+.-".contains(letter);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.chars().all(plain)
}

/// Where a path leads, also where its end is not there yet.
fn really(path: &Path, links: u32) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    };
    let parent = really(parent, links)?;
    let place = parent.join(name);
    match fs::read_link(&place) {
        // It leads to where nothing is yet.
        Ok(_) if links == 0 => Err(io::Error::other("too many links")),
        Ok(to) => really(&parent.join(to), links.saturating_sub(1)),
        Err(_) => Ok(place),
    }
}

/// Which file it is, whatever it is called.
type Identity = (u64, u64);

/// What a file system says of names.
struct Disk<'a> {
    identity: &'a dyn Fn(&Path) -> io::Result<Identity>,
    names: &'a dyn Fn(&Path) -> io::Result<Vec<OsString>>,
}

impl Disk<'static> {
    const HOST: Disk<'static> = Disk { identity: &identity, names: &names };
}

fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn names(dir: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
}

/// The path with every name as its directory has it. Some file systems find a file under other spellings
/// too: capital letters, or accents that are put together otherwise.
fn as_listed(path: &Path, disk: &Disk<'_>) -> Result<PathBuf, String> {
    let mut so_far = PathBuf::from("/");
    for part in path.components() {
        let Component::Normal(name) = part else { continue };
        let name = listed((&so_far, name), disk)?;
        so_far.push(name);
    }
    Ok(so_far)
}

fn listed((dir, name): (&Path, &OsStr), disk: &Disk<'_>) -> Result<OsString, String> {
    let is_at = |name: &OsStr| (disk.identity)(&dir.join(name)).ok();
    // What is not there is made under the name that is given.
    let Some(found) = is_at(name) else { return Ok(name.to_owned()) };
    let text = name.to_string_lossy();
    let other = swapped(&text);
    let is_alone = text.is_ascii() && (other == text || is_at(OsStr::new(&other)) != Some(found));
    if is_alone {
        return Ok(name.to_owned());
    }
    let unclear = || format!("how its directory spells `{}` cannot be told", text.escape_debug());
    let names = (disk.names)(dir).map_err(|_| unclear())?;
    if names.iter().any(|it| it == name) {
        return Ok(name.to_owned());
    }
    let same = |it: &OsString| is_at(it) == Some(found);
    names.into_iter().find(same).ok_or_else(unclear)
}

/// The same letters, capital ones small and small ones capital.
fn swapped(text: &str) -> String {
    let swap = |letter: char| match letter {
        'a'..='z' => letter.to_ascii_uppercase(),
        letter => letter.to_ascii_lowercase(),
    };
    text.chars().map(swap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_path_leads_is_known_before_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(dir.join("a")).unwrap();
        std::os::unix::fs::symlink("a/new", dir.join("link")).unwrap();
        std::os::unix::fs::symlink("round", dir.join("round")).unwrap();
        assert_eq!(really(&dir.join("link"), LINKS_MAX).unwrap(), dir.join("a/new"));
        assert_eq!(really(&dir.join("x/y"), LINKS_MAX).unwrap(), dir.join("x/y"));
        assert!(really(&dir.join("round"), LINKS_MAX).is_err());
    }

    #[test]
    fn a_text_with_two_readings_is_no_path() {
        let places = Places { home: Path::new("/home/u"), base: Path::new("/base") };
        for text in [
            "a\0b",
            "a\nb",
            "..\\etc",
            "C:\\x",
            "C:/x",
            "\\\\host\\x",
            " a",
            "a ",
            "a\"",
            "'a'",
            "`a`",
            "a\u{a0}",
            "%2e%2e/etc",
            "a%00",
            "~root/x",
            "file:/a",
            "file://host/a",
            "file:///a%2f",
            "data:,x",
            "http://a/",
            "/proc/self/environ",
            "/proc",
            "/dev/fd/0",
            "/dev/stdin",
            "/usr/../proc/1/root",
        ] {
            assert!(resolve(text, places).is_err(), "{text:?}");
        }
        for (text, path) in [
            ("a", "/base/a"),
            ("~/a", "/home/u/a"),
            ("~", "/home/u"),
            ("/no-such/./b//c/", "/no-such/b/c"),
            ("file:///no-such/a", "/no-such/a"),
            ("100%", "/base/100%"),
            ("$id.tsx", "/base/$id.tsx"),
            ("/dev/standard", "/dev/standard"),
            ("", "/base"),
        ] {
            assert_eq!(resolve(text, places).unwrap().as_str(), path, "{text:?}");
        }
    }

    #[test]
    fn a_file_is_known_by_the_name_that_its_directory_has_for_it() {
        // A disk to which capital letters and composed accents are all one.
        let number = |path: &Path| match path.to_str().unwrap().to_lowercase().as_str() {
            "/data" => Ok((1, 1)),
            "/data/keys" => Ok((1, 2)),
            "/data/caf\u{e9}" | "/data/cafe\u{301}" => Ok((1, 3)),
            "/data/two" => Ok((1, 4)),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let all = |dir: &Path| match dir.to_str().unwrap() {
            "/" => Ok(vec!["data".into()]),
            "/data" => Ok(vec!["Keys".into(), "caf\u{e9}".into()]),
            _ => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        };
        let disk = Disk { identity: &number, names: &all };
        let spelt =
            |path: &str| as_listed(Path::new(path), &disk).map(|it| it.display().to_string());
        for path in ["/data/Keys", "/data/keys", "/DATA/KEYS", "/Data/kEYS"] {
            assert_eq!(spelt(path).unwrap(), "/data/Keys");
        }
        assert_eq!(spelt("/data/cafe\u{301}").unwrap(), "/data/caf\u{e9}");
        assert_eq!(spelt("/data/new").unwrap(), "/data/new");
        assert!(spelt("/data/two").is_err());
        // On this one, two names of one file are two names.
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        fs::write(dir.join("keys"), "").unwrap();
        fs::hard_link(dir.join("keys"), dir.join("KEYS")).unwrap();
        for name in ["keys", "KEYS", "Keys"] {
            assert_eq!(as_listed(&dir.join(name), &Disk::HOST).unwrap(), dir.join(name));
        }
    }
}
