//! Keeps what the plan mounts inside trees of the host where it belongs.
//!
//! A mount lies on the file or directory that is there. When a program outside replaces that by
//! rename, or removes it, the kernel takes the mount away in every world (`detach_mounts`, since
//! Linux 3.18), and what takes its place would be open. So each such place is watched, and what
//! belongs there is mounted again. A place that cannot be watched stops the start; one that cannot
//! be covered again ends the world.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::Timespec;

use rustix::fs::inotify::{self, ReadFlags, Reader, WatchFlags};
use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::parts::Names;
use super::{Content, Entry, Root, step};
use crate::world::failure::{During as _, Failure, Need};
use crate::world::place::{Kind, kind_of};
use crate::world::{Access, Watches};

/// How often a place is looked at after one change; a program outside that changes it faster than
/// it can be covered ends the world.
const LOOKS_MAX: u32 = 64;
/// For how long something new is in a directory that is shown part by part before it is shown: programs
/// write next to a file what is to take its place, under a name that nobody knows.
const SETTLES: Duration = Duration::from_secs(2);
/// Most names that left a directory and are looked for elsewhere.
const MOVES_MAX: usize = 1024;
/// Room for the events of one reading, in bytes; one with a name takes at most 272. What is acted on at once costs less.
const EVENTS_BYTES: usize = 64 * 1024;

/// That what a mount lies on is replaced or removed.
const ITSELF: WatchFlags =
    WatchFlags::ATTRIB.union(WatchFlags::MOVE_SELF).union(WatchFlags::DELETE_SELF);
/// That a directory on the way is another.
const ON_THE_WAY: WatchFlags = WatchFlags::MOVE_SELF.union(WatchFlags::DELETE_SELF);
/// That something comes to be in a directory.
const COMING: WatchFlags = WatchFlags::CREATE.union(WatchFlags::MOVED_TO);
/// That something leaves a directory: the end of one that is in use is not told to who watches it.
const LEAVING: WatchFlags = WatchFlags::DELETE.union(WatchFlags::MOVED_FROM);

/// What is watched, and for the sake of which places.
#[derive(Debug)]
pub(in crate::world) struct Covers {
    inotify: OwnedFd,
    watched: BTreeMap<i32, BTreeSet<PathBuf>>,
    /// Every place that is kept.
    places: BTreeSet<PathBuf>,
    /// What is watched for directories that are shown part by part, by their number.
    parts: BTreeMap<i32, usize>,
    /// What is new in those directories, and when it is shown.
    settling: BTreeMap<(usize, OsString), Instant>,
    /// Moves of what is covered there (`cookie` in inotify(7)): it stays so under its new name.
    moves: BTreeSet<u32>,
}

/// A place in the world that lies in a tree of the host.
struct Lies {
    /// The tree, on the host.
    tree: PathBuf,
    /// The place, on the host.
    place: PathBuf,
    /// What the world may do with the tree.
    access: Access,
}

/// Where something has changed.
#[derive(Debug, Default)]
struct Changed {
    places: BTreeSet<PathBuf>,
    parts: BTreeMap<usize, Names>,
}

/// What was found at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Nothing, or what is to be there.
    Right,
    /// Something that was open, and is covered now.
    Open,
}

impl Covers {
    /// Watches what is in `root` by now, and covers what was replaced meanwhile.
    pub(in crate::world) fn over(root: &mut Root, watches: &Watches) -> Result<Covers, Failure> {
        let inotify = watches.share().during(Need::Watches, "watch covered places")?;
        let (watched, places, parts) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let (settling, moves) = (BTreeMap::new(), BTreeSet::new());
        let mut covers = Covers { inotify, watched, places, parts, settling, moves };
        covers.watch_parts(root)?;
        covers.follow(root)?;
        Ok(covers)
    }

    /// The same for what was granted since.
    pub(in crate::world) fn follow(&mut self, root: &mut Root) -> Result<(), Failure> {
        let targets: Vec<PathBuf> = root.plan.iter().map(|entry| entry.target.clone()).collect();
        for target in targets {
            if root.lies(&target).is_some() {
                self.places.insert(target.clone());
                self.keep(root, &target)?;
            }
        }
        Ok(())
    }

    /// What was changed around these places has been looked at; returns those that were open.
    pub(in crate::world) fn look(&mut self, root: &mut Root) -> Result<Vec<PathBuf>, Failure> {
        let mut open = Vec::new();
        let changed = self.changed(root).during(Need::Watches, "hear what was changed")?;
        for (number, names) in changed.parts {
            self.show(root, number, names);
        }
        for target in changed.places {
            if self.keep(root, &target)? == Found::Open {
                open.push(target);
            }
        }
        Ok(open)
    }

    /// Watches the directories that are shown part by part.
    fn watch_parts(&mut self, root: &mut Root) -> Result<(), Failure> {
        for number in 0..root.parts.len() {
            let Some(part) = root.parts.get(number) else { break };
            let flags = COMING | LEAVING | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
            match inotify::add_watch(&self.inotify, &part.source, flags) {
                Ok(watch) => {
                    self.parts.insert(watch, number);
                }
                // It stays as it was: nothing comes that nobody watches.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
                Err(error) => {
                    return Err(io::Error::from(error))
                        .during(Need::Watches, "watch a directory that is shown part by part");
                }
            }
            root.show_again(number, Names::Missing);
        }
        Ok(())
    }

    /// Covers a place if it is open, and watches it, until nothing changes in between.
    fn keep(&mut self, root: &mut Root, target: &Path) -> Result<Found, Failure> {
        let mut before = root.cover_again(target)?;
        for _ in 0..LOOKS_MAX {
            let watched = self.watch(root, target)?;
            match root.cover_again(target)? {
                Found::Right if watched => return Ok(before),
                Found::Right => {}
                Found::Open => before = Found::Open,
            }
        }
        Err(io::Error::from(Errno::BUSY)).during(Need::Bind, step(target, "cover it again"))
    }

    /// Shows what was there before as it is now, and what is new when it has been there for a while.
    fn show(&mut self, root: &mut Root, number: usize, names: Names) {
        let Some(part) = root.parts.get(number) else { return };
        let (known, new) = part.named(names).into_iter().partition(|name| part.shows(name));
        let at = Instant::now() + SETTLES;
        let new: BTreeSet<OsString> = new;
        self.settling.extend(new.into_iter().map(|name| ((number, name), at)));
        root.show_again(number, Names::These(known));
    }

    /// Shows what is new and has been there for a while.
    pub(in crate::world) fn show_settled(&mut self, root: &mut Root) {
        let now = Instant::now();
        let settled: Vec<(usize, OsString)> =
            self.settling.iter().filter(|(_, at)| **at <= now).map(|(it, _)| it.clone()).collect();
        for key in settled {
            self.settling.remove(&key);
            root.show_again(key.0, Names::These(BTreeSet::from([key.1])));
        }
    }

    /// How long until then.
    pub(in crate::world) fn wait(&self) -> Option<Timespec> {
        let first = self.settling.values().min()?;
        let wait = first.saturating_duration_since(Instant::now());
        Timespec::try_from(wait).ok()
    }

    /// Where something has changed, by one reading: whoever changes faster than one can read would
    /// otherwise keep every cover, grant and the world's end waiting.
    fn changed(&mut self, root: &mut Root) -> io::Result<Changed> {
        let mut changed = Changed::default();
        let mut space = vec![MaybeUninit::uninit(); EVENTS_BYTES];
        let mut reader = Reader::new(&self.inotify, &mut space);
        let mut seen = BTreeSet::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(changed),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                changed.places.extend(self.places.iter().cloned());
                changed.parts.extend(self.parts.values().map(|number| (*number, Names::Every)));
            }
            if seen.insert(event.wd()) {
                changed.places.extend(self.watched.get(&event.wd()).into_iter().flatten().cloned());
            }
            if let (Some(number), Some(name)) = (self.parts.get(&event.wd()), event.file_name()) {
                let name = OsStr::from_bytes(name.to_bytes()).to_owned();
                if let Some(part) = root.parts.get_mut(*number) {
                    let events = event.events();
                    if events.contains(ReadFlags::MOVED_FROM) && part.is_reserved(&name) {
                        if self.moves.len() >= MOVES_MAX {
                            self.moves.clear();
                        }
                        self.moves.insert(event.cookie());
                    }
                    if events.contains(ReadFlags::MOVED_TO) && self.moves.remove(&event.cookie()) {
                        part.reserve(&name);
                    }
                }
                changed.parts.entry(*number).or_default().add(name);
            }
            if event.events().contains(ReadFlags::IGNORED) {
                self.watched.remove(&event.wd());
                self.parts.remove(&event.wd());
            }
            if reader.is_buffer_empty() {
                return Ok(changed);
            }
        }
    }

    /// Watches a place and the way to it, from its tree down to what is there; `false` when that
    /// was changed meanwhile.
    fn watch(&mut self, root: &Root, target: &Path) -> Result<bool, Failure> {
        let Some(Lies { tree, place, access }) = root.lies(target) else { return Ok(true) };
        if access != Access::Overlay {
            root.is_there(target, &tree)
                .during(Need::Bind, step(target, "find it where it was"))?;
        }
        match self.add(&tree, ON_THE_WAY, target) {
            // What one may not read one may not watch; a move of the whole tree is then not noticed.
            Ok(()) | Err(Errno::ACCESS) => {}
            Err(error) => {
                let why = Err(io::Error::from(error));
                return why.during(Need::Watches, step(target, "watch what it lies in"));
            }
        }
        let below = place.strip_prefix(&tree).unwrap_or(Path::new(""));
        let mut here = tree;
        for part in below.components() {
            let next = here.join(part);
            let flags = if next == place { ITSELF } else { ON_THE_WAY };
            let from_above = match self.add(&next, flags, target) {
                // A file tells all of itself, and so does a directory on the way: it is not empty.
                Ok(()) if next != place || !next.is_dir() => None,
                Ok(()) => Some(LEAVING),
                Err(Errno::NOENT | Errno::NOTDIR) => Some(COMING),
                // What one may not read one may not watch, but where it is.
                Err(Errno::ACCESS) => Some(COMING | LEAVING),
                Err(error) => {
                    return Err(io::Error::from(error))
                        .during(Need::Watches, step(target, "watch it"));
                }
            };
            match from_above.map(|flags| self.add(&here, flags | WatchFlags::ONLYDIR, target)) {
                None | Some(Ok(())) => {}
                Some(Err(Errno::NOENT | Errno::NOTDIR)) => return Ok(false),
                Some(Err(error)) => {
                    return Err(io::Error::from(error))
                        .during(Need::Watches, step(target, "watch its directory"));
                }
            }
            if from_above == Some(COMING) {
                break;
            }
            here = next;
        }
        Ok(true)
    }

    fn add(&mut self, path: &Path, flags: WatchFlags, target: &Path) -> rustix::io::Result<()> {
        let flags = flags | WatchFlags::DONT_FOLLOW | WatchFlags::MASK_ADD;
        let watch = inotify::add_watch(&self.inotify, path, flags)?;
        self.watched.entry(watch).or_default().insert(target.to_owned());
        Ok(())
    }
}

impl AsFd for Covers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl Root {
    /// Where a place is on the host; `None` where nothing that others change is mounted above it.
    fn lies(&self, target: &Path) -> Option<Lies> {
        let above = self.above(target)?;
        let (source, access) = match &above.content {
            Content::Host { source, access } => (source, *access),
            Content::System(source) => (source, Access::Read),
            Content::Device(_) | Content::Supply { .. } | Content::Mask | Content::Hidden => {
                return None;
            }
        };
        // What appears elsewhere than it is on the host is a session's own: nobody outside changes it.
        if *source != above.target {
            return None;
        }
        let below = target.strip_prefix(&above.target).ok()?;
        Some(Lies { tree: source.clone(), place: source.join(below), access })
    }

    /// What is mounted above a place.
    pub(super) fn above(&self, target: &Path) -> Option<&Entry> {
        let granted = self.grants.iter().map(|grant| &grant.entry);
        let entries = self.plan.iter().chain(granted).filter(|entry| entry.is_above(target));
        // The longest is the deepest; of those at one place the later one is on top.
        entries.max_by_key(|entry| entry.target.as_os_str().len())
    }

    /// That the tree above a place is still what the host has under its name: in one that was moved away
    /// nobody would see what becomes of the place.
    fn is_there(&self, target: &Path, tree: &Path) -> io::Result<()> {
        let Some(above) = self.above(target) else { return Ok(()) };
        let Some(shown) = self.ground.find(&above.target)? else { return Ok(()) };
        let (shown, there) = (rustix::fs::fstat(&shown)?, rustix::fs::stat(tree)?);
        let is_apart = self.parts.iter().any(|part| part.source == *tree);
        let same = (shown.st_dev, shown.st_ino) == (there.st_dev, there.st_ino);
        if same || is_apart { Ok(()) } else { Err(Errno::NOENT.into()) }
    }

    /// Mounts what belongs at a place, if something else is there.
    fn cover_again(&mut self, target: &Path) -> Result<Found, Failure> {
        let place = match self.ground.find(target) {
            Ok(Some(place)) => place,
            Ok(None) => return Ok(Found::Right),
            // The world itself may lead the way elsewhere in a tree that it may write; what is made
            // there is decided act by act. Elsewhere somebody else has.
            Err(error) => {
                let own = self.lies(target).is_some_and(|it| it.access.changes());
                if own && error.raw_os_error() == Some(libc::ELOOP) {
                    return Ok(Found::Right);
                }
                return Err(error).during(Need::Bind, step(target, "look for its place again"));
            }
        };
        if is_mounted(&place).during(Need::Bind, step(target, "look at its place again"))? {
            return Ok(Found::Right);
        }
        let Some(entry) = self.plan.iter().rfind(|entry| entry.target == target).cloned() else {
            return Ok(Found::Right);
        };
        match self.mount_again(&entry, &place) {
            Ok(()) => Ok(Found::Open),
            // Changed once more: it is looked at again.
            Err(failure) => match self.ground.find(target) {
                Ok(Some(now)) if is_same(&now, &place) => Err(failure),
                Ok(_) | Err(_) => Ok(Found::Open),
            },
        }
    }

    /// A directory of the host comes with everything that the plan has beneath it.
    fn mount_again(&mut self, entry: &Entry, place: &OwnedFd) -> Result<(), Failure> {
        let target = entry.target.as_path();
        let is_dir =
            kind_of(place).is_ok_and(|kind| kind == Kind::Dir) && shows_host(&entry.content);
        if !is_dir {
            return self.attach(entry, None);
        }
        let tree = self.tree_of(&entry.content).during(Need::Bind, step(target, "open it"))?;
        self.move_in(entry, tree, place).map(drop)
    }
}

fn shows_host(content: &Content) -> bool {
    match content {
        Content::Host { .. } | Content::System(_) => true,
        Content::Device(_) | Content::Supply { .. } | Content::Mask | Content::Hidden => false,
    }
}

/// Whether something is mounted at what was found.
pub(super) fn is_mounted(place: &OwnedFd) -> io::Result<bool> {
    let found = rustix::fs::statx(place, "", AtFlags::EMPTY_PATH, StatxFlags::empty())?;
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> bool {
    let id = |fd: &OwnedFd| rustix::fs::fstat(fd).map(|it| (it.st_dev, it.st_ino)).ok();
    id(one).is_some() && id(one) == id(other)
}
