//! The first line of a script, read as the kernel reads it (`fs/binfmt_script.c`).

/// How much of a file the kernel looks at, in bytes (`BINPRM_BUF_SIZE`).
pub(super) const HEADER_BYTES: usize = 256;

/// What a `#!` line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FirstLine {
    /// The interpreter as it is written there.
    pub(super) interpreter: Vec<u8>,
    /// Everything behind it, as one argument.
    pub(super) argument: Option<Vec<u8>>,
}

/// Parses the first bytes of a file; `None` if the kernel would not run it as a script.
pub(super) fn parse(file: &[u8]) -> Option<FirstLine> {
    let mut header = [0; HEADER_BYTES];
    for (to, from) in header.iter_mut().zip(file) {
        *to = *from;
    }
    let rest = header.strip_prefix(b"#!")?;
    // The search for the end of the line stops at a NUL, as strnchr() does.
    let newline = rest.iter().take_while(|byte| **byte != 0).position(|byte| *byte == b'\n');
    let line = if let Some(end) = newline {
        rest.get(..end)?
    } else {
        // Without a line end the name may have been cut off, unless something follows it.
        let name = rest.get(rest.iter().position(|byte| !is_blank(*byte))?..)?;
        name.iter().position(|byte| is_blank(*byte) || *byte == 0)?;
        rest.get(..rest.len() - 1)?
    };
    let line = line.get(..=line.iter().rposition(|byte| !is_blank(*byte))?)?;
    let line = line.get(line.iter().position(|byte| !is_blank(*byte))?..)?;
    let name_end = line.iter().position(|byte| is_blank(*byte) || *byte == 0);
    let (name, behind) = line.split_at(name_end.unwrap_or(line.len()));
    // A NUL ends both strings: what lies behind it never reaches anybody.
    let argument = if behind.first().is_some_and(|byte| *byte != 0) {
        behind
            .iter()
            .position(|byte| !is_blank(*byte))
            .and_then(|at| behind.get(at..))
            .map(|text| text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
    } else {
        None
    };
    Some(FirstLine { interpreter: name.to_vec(), argument })
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}
