//! Texts of help as clap wants them: it alone knows how wide the terminal is.

/// A text as it is handed to clap, which wraps it to the terminal: lines of a paragraph are joined, and only those
/// that begin with a space (examples, tables) stay lines of their own.
pub(super) fn joined(text: &str) -> String {
    let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
    let mut out = String::new();
    let mut before = "";
    for line in text.lines() {
        let goes_on = is_prose(before) && is_prose(line);
        if !out.is_empty() {
            out.push(if goes_on { ' ' } else { '\n' });
        }
        out.push_str(line);
        before = line;
    }
    out
}
