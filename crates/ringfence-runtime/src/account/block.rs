//! A marked block in a file of somebody else's: put in, found again, and taken out so that not a byte is left.

/// The line before the block.
const BEGIN: &str = "# >>> ringfence sandbox >>>";
/// The same where what was before it had no end of its line.
const BEGIN_JOINED: &str = "# >>> ringfence sandbox (the line before had no end) >>>";
/// The same where there was no file.
const BEGIN_MADE: &str = "# >>> ringfence sandbox (the file was made for it) >>>";
const BEGINS: [&str; 3] = [BEGIN, BEGIN_JOINED, BEGIN_MADE];
/// The line behind it.
const END: &str = "# <<< ringfence sandbox <<<";

/// A file in which a block has lost one of its marks: nothing in it is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a mark of the block `{BEGIN}` to `{END}` is missing")]
pub struct Broken;

/// Where a block is, with the end of the line that was added before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    from: usize,
    to: usize,
}

/// The file without any block.
pub fn without(file: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut rest = file.to_vec();
    while let Some(Place { from, to }) = find(&rest)? {
        let joined = rest.get(from) == Some(&b'\n');
        // What was written behind it since does not become part of the line before it.
        let from = if joined && to < rest.len() { from + 1 } else { from };
        rest.drain(from..to);
    }
    Ok(rest)
}

/// The file with this text in one block at its end; as it is if it has that already.
pub fn with(file: Option<&[u8]>, text: &str) -> Result<Vec<u8>, Broken> {
    let is_new = file.is_none_or(was_made);
    let file = file.unwrap_or_default();
    let mut whole = without(file)?;
    let joined = whole.last().is_some_and(|byte| *byte != b'\n');
    if joined {
        whole.push(b'\n');
    }
    let begin = match (joined, is_new && whole.is_empty()) {
        (true, _) => BEGIN_JOINED,
        (false, true) => BEGIN_MADE,
        (false, false) => BEGIN,
    };
    whole.extend_from_slice(format!("{begin}\n{text}{END}\n").as_bytes());
    // Where it stands, if that is elsewhere, it stays, as long as nothing behind it undoes it: the person
    // may have moved it there.
    let stands = holds(file, text) && overtaken(file).is_none();
    Ok(if stands { file.to_vec() } else { whole })
}

/// The number of the first line behind the block that may put something before it in `PATH`.
pub fn overtaken(file: &[u8]) -> Option<usize> {
    let place = find(file).ok().flatten()?;
    let (until, after) = file.split_at_checked(place.to)?;
    let before = until.split_inclusive(|byte| *byte == b'\n').count();
    let text = String::from_utf8_lossy(after);
    text.lines().position(may_change_path).map(|line| before + line + 1)
}

/// Whether a line of a shell may change `PATH`: by itself, or by what it has the shell read.
fn may_change_path(line: &str) -> bool {
    let line = line.trim();
    if line.starts_with('#') {
        return false;
    }
    let mut words = line.split(|it: char| it.is_whitespace() || ";&|(){}\"'`".contains(it));
    words.any(|word| {
        let reads = [".", "\\.", "source", "eval", "fish_add_path", "hash"].contains(&word);
        reads
            || word == "PATH"
            || ["PATH=", "PATH+=", "path=", "path+="].iter().any(|it| word.starts_with(it))
    })
}

/// Whether a file was made for the block in it.
pub fn was_made(file: &[u8]) -> bool {
    file.split(|byte| *byte == b'\n').any(|line| line == BEGIN_MADE.as_bytes())
}

/// Whether there is exactly this text in exactly one block.
pub fn holds(file: &[u8], text: &str) -> bool {
    let Ok(Some(place)) = find(file) else { return false };
    let block = file.get(place.from..place.to).unwrap_or_default();
    let body = BEGINS.map(|begin| format!("{begin}\n{text}{END}\n"));
    let block = block.strip_prefix(b"\n").unwrap_or(block);
    let after = file.get(place.to..).unwrap_or_default();
    body.iter().any(|body| block == body.as_bytes()) && find(after) == Ok(None)
}

/// The first block.
fn find(file: &[u8]) -> Result<Option<Place>, Broken> {
    let mut at = 0;
    let mut from = None;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let start = at;
        at += line.len();
        let begins = BEGINS.iter().any(|begin| text == begin.as_bytes());
        match (from, begins, text == END.as_bytes()) {
            (None, true, _) => {
                let joined = text == BEGIN_JOINED.as_bytes();
                // The end of the line before it is ours as well.
                from = Some(if joined { start.saturating_sub(1) } else { start });
            }
            (Some(from), _, true) => return Ok(Some(Place { from, to: at })),
            (None, _, true) | (Some(_), true, _) => return Err(Broken),
            (None | Some(_), false, false) => {}
        }
    }
    if from.is_some() { Err(Broken) } else { Ok(None) }
}
