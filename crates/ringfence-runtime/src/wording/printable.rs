//! Text that others wrote, made safe to print in a line of ours.

use unicode_general_category::{GeneralCategory, get_general_category};

/// Text that others wrote, safe to print in a line of ours.
///
/// Control characters, those that reorder or hide text (bidirectional controls, zero-width and tag characters), blanks
/// that are no plain space and characters that nobody has given a shape are written as `\u{..}`, so that a file name
/// can neither drive the terminal nor look like another one.
pub fn printable(text: &str) -> String {
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut out, character| {
        if is_plain(character) {
            out.push(character);
        } else {
            out.extend(character.escape_default());
        }
        out
    })
}

/// Whether a character shows as itself and moves nothing.
pub(super) fn is_plain(character: char) -> bool {
    match character {
        ' '..='~' => true,
        _ if is_blank(character) => false,
        _ => !matches!(
            get_general_category(character),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
                | GeneralCategory::PrivateUse
                | GeneralCategory::SpaceSeparator
                | GeneralCategory::Surrogate
                | GeneralCategory::Unassigned
        ),
    }
}

/// Letters, marks and symbols that show nothing: fillers of Hangul and Khitan, the empty pattern of Braille, a note
/// without a head, the blanks of hieroglyphs, and what only says how others look.
fn is_blank(character: char) -> bool {
    matches!(character,
        '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2065}'
        | '\u{2800}' | '\u{2d7f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{1107f}'
        | '\u{13440}'..='\u{13442}' | '\u{16fe4}' | '\u{1d159}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn no_blank_but_the_plain_space_is_shown_as_one() {
        for blank in "\u{9}\u{a0}\u{ad}\u{34f}\u{1160}\u{1680}\u{180e}\u{2003}\u{200b}\u{202f}\u{2060}\u{2800}\u{3000}\u{3164}\u{feff}\u{ffa0}\u{fff0}\u{13441}\u{13442}\u{16fe4}\u{1d159}\u{1d173}\u{e0020}\u{e000}\u{10ffff}".chars() {
            let shown = printable(&format!("a{blank}b"));
            assert_eq!(shown, format!("a{}b", blank.escape_default()));
        }
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in [
            "/home/you/a b.txt",
            "日本語",
            "naïve – “quoted” …",
            "привет",
            "שלום",
            "हिन्दी",
            "👍🏽",
            "ﷺ",
        ] {
            assert_eq!(printable(text), text);
        }
    }
}
