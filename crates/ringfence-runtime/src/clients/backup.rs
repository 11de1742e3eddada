//! What a client's file was before it was rewritten: a copy beside it, and in our own state what both looked like then, so
//! that nothing is ever put back that is not what was there, in the place of nothing but what we made.

use std::fs;
use std::path::{Path, PathBuf};

use ringfence_core::{SecretName, ServerName};
use serde::{Deserialize, Serialize};

use super::{Client, ClientError, ClientFile, Entry, Form, read};
use crate::servers::digest;
use crate::state::StateDirs;
use crate::whole_file::{self, Links, sha256_hex};
use crate::writing::Writing;

/// Most copies of one file that lie beside it.
const BACKUPS_MAX: u32 = 1_000;

/// Version of the file of what was made.
const VERSION: u32 = 1;

/// What we made of clients' files, in the order in which it was.
#[derive(Debug)]
pub struct Backups {
    pub(super) at: PathBuf,
}

/// What can be put back in the place of a client's file.
#[derive(Debug)]
pub struct Undo {
    /// The file, links resolved.
    pub path: PathBuf,
    /// The copy beside it.
    pub backup: PathBuf,
    /// What the file becomes: what it was, or what it is now with entries as they were.
    pub before: String,
    /// What is in the file.
    pub now: String,
    /// What of it goes back.
    pub extent: Extent,
    mode: u32,
    /// Of those that were made.
    number: usize,
}

/// How much of a client's file is put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// All of it: nobody has changed it.
    Whole,
    /// Single entries, since others have changed the file meanwhile.
    Entries {
        /// Those that are as they were written, and go back; by name.
        back: Vec<String>,
        /// Those that somebody has changed, and that stay.
        changed: Vec<String>,
        /// Those that are not there any more.
        gone: Vec<String>,
    },
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    version: u32,
    made: Vec<Made>,
    /// What was added for them, until somebody is told that nothing of theirs needs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    brought: Vec<Brought>,
}

/// A server that was added for what stood in a client's file, and the secrets that were kept for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brought {
    /// The server.
    pub server: ServerName,
    /// Its secrets, by what they are called here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
}

/// One file as it was, and as we left it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    file: PathBuf,
    backup: PathBuf,
    /// SHA-256 of what was in it before.
    before: String,
    /// SHA-256 of what we made of it.
    left: String,
    /// The entries in it that are ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    entries: Vec<Ours>,
}

/// An entry as we wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ours {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    /// The digest of what it says.
    said: String,
    /// The server of ours that it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<ServerName>,
}

impl Ours {
    fn of(entry: &Entry, server: Option<&ServerName>) -> Ours {
        Ours {
            name: entry.name.clone(),
            project: entry.project.clone(),
            said: digest(&entry.said),
            server: server.cloned(),
        }
    }

    fn is(&self, entry: &Entry) -> bool {
        self.name == entry.name && self.project == entry.project
    }
}

impl Backups {
    /// What was made by this user.
    pub fn of(dirs: &StateDirs) -> Backups {
        Backups { at: dirs.state().join("clients.json") }
    }

    /// Writes another text in the place of a client's file, and what it was beside it; where that is. The entries that are
    /// `taken`, by their place in the file, start servers of ours in it.
    pub fn replace(
        &self,
        file: &ClientFile,
        text: &str,
        (taken, brought): (&[(usize, &ServerName)], &[Brought]),
    ) -> Result<PathBuf, ClientError> {
        let _writing = self.writing()?;
        if read(&file.path)?.0 != file.text {
            return Err(ClientError::Changed(file.path.clone()));
        }
        let free = (1..BACKUPS_MAX)
            .map(|number| beside(&file.path, number))
            .find(|path| fs::symlink_metadata(path).is_err());
        let backup = free.ok_or_else(|| ClientError::Odd {
            path: file.path.clone(),
            why: format!("there are {BACKUPS_MAX} backups of it"),
        })?;
        let mut all = self.read()?;
        all.made.push(Made {
            file: file.path.clone(),
            backup: backup.clone(),
            before: sha256_hex(file.text.as_bytes()),
            left: sha256_hex(text.as_bytes()),
            entries: written(file, text, taken)?,
        });
        let before = all.brought.clone();
        all.brought.retain(|it| brought.iter().all(|new| new.server != it.server));
        all.brought.extend_from_slice(brought);
        // Others need not read what was in it.
        whole_file::replace(&backup, file.text.as_bytes(), file.mode & 0o700)?;
        let done = self.write(&all).and_then(|()| {
            whole_file::replace(&file.path, text.as_bytes(), file.mode).map_err(ClientError::from)
        });
        if done.is_err() {
            all.made.pop();
            all.brought = before;
            // The file is as it was: a copy of it is worth nothing, and what fails here changes nothing.
            let _ = self.write(&all);
            let _ = fs::remove_file(&backup);
        }
        done.map(|()| backup)
    }

    /// What was last made of a client's file, if anything was: what can be put back, or why it cannot.
    pub fn last(&self, client: Client, path: &Path) -> Result<Option<Undo>, ClientError> {
        let all = self.read()?.made;
        let last = all.iter().enumerate().rev().find(|(_, made)| made.file == path);
        let Some((number, made)) = last else { return Ok(None) };
        let (before, _) = read(&made.backup)?;
        if sha256_hex(before.as_bytes()) != made.before {
            let why = "it is not what was kept of the client's file".to_owned();
            return Err(ClientError::Odd { path: made.backup.clone(), why });
        }
        let (now, mode) = read(path)?;
        let (before, extent) = if sha256_hex(now.as_bytes()) == made.left {
            (before, Extent::Whole)
        } else {
            let odd = |why: String| ClientError::Odd { path: path.to_owned(), why };
            single(client.form(), (&made.entries, &before), &now).map_err(odd)?
        };
        let (path, backup) = (path.to_owned(), made.backup.clone());
        Ok(Some(Undo { path, backup, before, now, extent, mode, number }))
    }

    /// Where the copy of a file should lie that was made last.
    pub fn backup_of(&self, path: &Path) -> Option<PathBuf> {
        let all = self.read().ok()?.made;
        all.into_iter().rev().find(|made| made.file == path).map(|made| made.backup)
    }

    /// Puts a file back as it was, if nobody has changed it since it was looked at.
    pub fn put_back(&self, undo: &Undo) -> Result<(), ClientError> {
        let _writing = self.writing()?;
        if read(&undo.path)?.0 != undo.now {
            return Err(ClientError::Changed(undo.path.clone()));
        }
        let mut all = self.read()?;
        let is_it = |made: &Made| made.file == undo.path && made.backup == undo.backup;
        if !all.made.get(undo.number).is_some_and(is_it) {
            return Err(ClientError::Changed(self.at.clone()));
        }
        whole_file::replace(&undo.path, undo.before.as_bytes(), undo.mode)?;
        if let Extent::Entries { changed, .. } = &undo.extent
            && !changed.is_empty()
        {
            // The copy is what they can be compared with.
            if let Some(made) = all.made.get_mut(undo.number) {
                made.entries.retain(|it| changed.contains(&it.name));
            }
            return self.write(&all);
        }
        all.made.remove(undo.number);
        self.write(&all)?;
        let backup = undo.backup.clone();
        fs::remove_file(&backup).map_err(|source| ClientError::Read { path: backup, source })
    }

    /// What was added for clients and is started by no file of theirs that was rewritten; it is forgotten by that.
    pub fn left_over(&self) -> Result<Vec<Brought>, ClientError> {
        let _writing = self.writing()?;
        let mut all = self.read()?;
        let started = |it: &Brought| {
            let mut entries = all.made.iter().flat_map(|made| &made.entries);
            entries.any(|entry| entry.server.as_ref() == Some(&it.server))
        };
        let (kept, left): (Vec<_>, Vec<_>) = all.brought.iter().cloned().partition(started);
        if !left.is_empty() {
            all.brought = kept;
            self.write(&all)?;
        }
        Ok(left)
    }

    fn writing(&self) -> Result<Writing, ClientError> {
        Ok(Writing::begin(self.at.parent().unwrap_or(Path::new("/")))?)
    }

    fn read(&self) -> Result<Records, ClientError> {
        let wrong = |why: String| ClientError::Remembered { path: self.at.clone(), why };
        let none = || Records { version: VERSION, ..Records::default() };
        let Some(text) = whole_file::read_text(&self.at, Links::Refuse)? else { return Ok(none()) };
        let all: Records = serde_json::from_str(&text.text).map_err(|it| wrong(it.to_string()))?;
        if all.version != VERSION {
            return Err(wrong(format!("version {} is not known", all.version)));
        }
        Ok(all)
    }

    fn write(&self, all: &Records) -> Result<(), ClientError> {
        let wrong = |why: String| ClientError::Remembered { path: self.at.clone(), why };
        if let Some(dir) = self.at.parent() {
            whole_file::create_private_dir(dir)?;
        }
        let text = serde_json::to_vec_pretty(all).map_err(|error| wrong(error.to_string()))?;
        Ok(whole_file::replace(&self.at, &text, 0o600)?)
    }
}

/// The entries of a text that are others than those of the file that it takes the place of.
fn written(
    file: &ClientFile,
    text: &str,
    taken: &[(usize, &ServerName)],
) -> Result<Vec<Ours>, ClientError> {
    let odd = |why: String| ClientError::Odd { path: file.path.clone(), why };
    let all = file.client.form().entries(text).map_err(odd)?;
    let is_new = |entry: &&Entry| !file.entries.contains(entry);
    let server = |entry: &Entry| {
        let was = |at: &usize| file.entries.get(*at).map(|it| (&it.name, &it.project));
        taken.iter().find(|(at, _)| was(at) == Some((&entry.name, &entry.project))).map(|it| it.1)
    };
    Ok(all.iter().filter(is_new).map(|it| Ours::of(it, server(it))).collect())
}

/// A text that others have changed, with those of our entries as they were that are as we wrote them.
fn single(
    form: Form,
    (ours, before): (&[Ours], &str),
    now: &str,
) -> Result<(String, Extent), String> {
    let entries = form.entries(now)?;
    let (mut back, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for of_it in ours {
        match entries.iter().find(|it| of_it.is(it)) {
            Some(entry) if digest(&entry.said) == of_it.said => back.push(of_it),
            Some(_) => changed.push(of_it.name.clone()),
            None => gone.push(of_it.name.clone()),
        }
    }
    if back.is_empty() {
        let why = "somebody has changed it since it was rewritten, and no entry in it is as it was written";
        return Err(why.to_owned());
    }
    let places: Vec<_> = back.iter().map(|it| (it.name.as_str(), it.project.as_deref())).collect();
    let text = form.with_those_of(now, before, &places)?;
    let back = back.iter().map(|it| it.name.clone()).collect();
    Ok((text, Extent::Entries { back, changed, gone }))
}

/// A file beside a client's that is called like a copy of ours, whoever made it.
pub fn lies_beside(path: &Path) -> Option<PathBuf> {
    Some(beside(path, 1)).filter(|path| fs::symlink_metadata(path).is_ok())
}

fn beside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(match number {
        1 => ".before-ringfence".to_owned(),
        more => format!(".before-ringfence-{more}"),
    });
    path.with_file_name(name)
}
