//! Telephone numbers: international ones by the plan of ITU-T E.164, and those of North America as they are written
//! there. Numbers of other countries without `+` have no form that dates and prices do not have.

use ringfence_core::{Certainty, Finding, FindingKind};

use super::{Number, one};

/// Codes of countries, and how many digits a number has behind each, at least and at most (ITU-T E.164 and the
/// national plans that ITU publishes).
const CODES: &[(&str, usize, usize)] = &[
    ("1", 10, 10),
    ("7", 10, 10),
    ("20", 8, 10),
    ("27", 9, 9),
    ("30", 10, 10),
    ("31", 9, 9),
    ("32", 8, 9),
    ("33", 9, 9),
    ("34", 9, 9),
    ("36", 8, 9),
    ("39", 6, 11),
    ("40", 9, 9),
    ("41", 9, 9),
    ("43", 7, 13),
    ("44", 9, 10),
    ("45", 8, 8),
    ("46", 7, 10),
    ("47", 8, 8),
    ("48", 9, 9),
    ("49", 6, 11),
    ("51", 8, 9),
    ("52", 10, 10),
    ("53", 8, 8),
    ("54", 10, 11),
    ("55", 10, 11),
    ("56", 9, 9),
    ("57", 10, 10),
    ("58", 10, 10),
    ("60", 8, 10),
    ("61", 9, 9),
    ("62", 8, 12),
    ("63", 8, 10),
    ("64", 8, 10),
    ("65", 8, 8),
    ("66", 8, 9),
    ("81", 9, 10),
    ("82", 8, 10),
    ("84", 9, 10),
    ("86", 10, 11),
    ("90", 10, 10),
    ("91", 10, 10),
    ("92", 9, 10),
    ("93", 9, 9),
    ("94", 9, 9),
    ("95", 7, 10),
    ("98", 10, 10),
    ("211", 9, 9),
    ("212", 9, 9),
    ("213", 8, 9),
    ("216", 8, 8),
    ("218", 8, 9),
    ("220", 7, 7),
    ("221", 9, 9),
    ("222", 8, 8),
    ("223", 8, 8),
    ("224", 9, 9),
    ("225", 10, 10),
    ("226", 8, 8),
    ("227", 8, 8),
    ("228", 8, 8),
    ("229", 8, 10),
    ("230", 7, 8),
    ("231", 7, 9),
    ("232", 8, 8),
    ("233", 9, 9),
    ("234", 8, 10),
    ("235", 8, 8),
    ("236", 8, 8),
    ("237", 9, 9),
    ("238", 7, 7),
    ("239", 7, 7),
    ("240", 9, 9),
    ("241", 7, 8),
    ("242", 9, 9),
    ("243", 9, 9),
    ("244", 9, 9),
    ("245", 7, 9),
    ("248", 7, 7),
    ("249", 9, 9),
    ("250", 9, 9),
    ("251", 9, 9),
    ("252", 7, 9),
    ("253", 8, 8),
    ("254", 9, 9),
    ("255", 9, 9),
    ("256", 9, 9),
    ("257", 8, 8),
    ("258", 8, 9),
    ("260", 9, 9),
    ("261", 9, 9),
    ("262", 9, 9),
    ("263", 8, 9),
    ("264", 8, 9),
    ("265", 7, 9),
    ("266", 8, 8),
    ("267", 7, 8),
    ("268", 8, 8),
    ("269", 7, 7),
    ("297", 7, 7),
    ("298", 6, 6),
    ("299", 6, 6),
    ("350", 8, 8),
    ("351", 9, 9),
    ("352", 6, 11),
    ("353", 7, 9),
    ("354", 7, 9),
    ("355", 8, 9),
    ("356", 8, 8),
    ("357", 8, 8),
    ("358", 6, 11),
    ("359", 7, 9),
    ("370", 8, 8),
    ("371", 8, 8),
    ("372", 7, 8),
    ("373", 8, 8),
    ("374", 8, 8),
    ("375", 9, 9),
    ("376", 6, 9),
    ("377", 8, 9),
    ("378", 6, 10),
    ("380", 9, 9),
    ("381", 8, 9),
    ("382", 8, 8),
    ("383", 8, 9),
    ("385", 8, 9),
    ("386", 8, 8),
    ("387", 8, 9),
    ("389", 8, 8),
    ("420", 9, 9),
    ("421", 9, 9),
    ("423", 7, 9),
    ("501", 7, 7),
    ("502", 8, 8),
    ("503", 8, 8),
    ("504", 8, 8),
    ("505", 8, 8),
    ("506", 8, 8),
    ("507", 7, 8),
    ("509", 8, 8),
    ("591", 8, 8),
    ("592", 7, 7),
    ("593", 8, 9),
    ("594", 9, 9),
    ("595", 9, 9),
    ("596", 9, 9),
    ("597", 6, 7),
    ("598", 8, 8),
    ("599", 7, 8),
    ("670", 7, 8),
    ("673", 7, 7),
    ("674", 7, 7),
    ("675", 7, 8),
    ("676", 5, 7),
    ("677", 5, 7),
    ("678", 5, 7),
    ("679", 7, 7),
    ("680", 7, 7),
    ("685", 5, 7),
    ("687", 6, 6),
    ("689", 6, 8),
    ("852", 8, 8),
    ("853", 8, 8),
    ("855", 8, 9),
    ("856", 8, 10),
    ("880", 8, 10),
    ("886", 8, 9),
    ("960", 7, 7),
    ("961", 7, 8),
    ("962", 8, 9),
    ("963", 8, 9),
    ("964", 8, 10),
    ("965", 8, 8),
    ("966", 8, 9),
    ("967", 7, 9),
    ("968", 8, 8),
    ("970", 8, 9),
    ("971", 8, 9),
    ("972", 8, 9),
    ("973", 8, 8),
    ("974", 7, 8),
    ("975", 7, 8),
    ("976", 8, 8),
    ("977", 8, 10),
    ("992", 9, 9),
    ("993", 8, 8),
    ("994", 9, 9),
    ("995", 9, 9),
    ("996", 9, 9),
    ("998", 9, 9),
];

/// Longest text of a number, in bytes, with what stands between its digits.
const BYTES_MAX: usize = 24;

/// A number behind a `+`.
pub(super) fn international(text: &str, plus: usize) -> Option<Finding> {
    let bytes = text.as_bytes();
    let before = plus.checked_sub(1).and_then(|at| bytes.get(at));
    if before.is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let mut digits = String::new();
    let mut end = plus.checked_add(1)?;
    for (at, byte) in bytes.iter().enumerate().skip(end).take(BYTES_MAX) {
        match byte {
            digit if digit.is_ascii_digit() => {
                digits.push(char::from(*digit));
                end = at.checked_add(1)?;
            }
            b' ' | b'-' | b'.' | b'(' | b')' => {}
            _ => break,
        }
    }
    let goes_on =
        bytes.get(end).is_some_and(|after| after.is_ascii_alphanumeric() || *after == b':');
    let fits = |(code, least, most): &(&str, usize, usize)| {
        digits.strip_prefix(code).is_some_and(|rest| (*least..=*most).contains(&rest.len()))
    };
    let is_one = !goes_on && CODES.iter().any(fits);
    is_one.then(|| one("phone", FindingKind::Phone, Certainty::Likely, plus..end))
}

/// A number of North America without its code: `212-555-0123`, `(212) 555-0123`.
pub(super) fn american(text: &str, number: &Number) -> Option<Finding> {
    let bytes = text.as_bytes();
    let before = number.start.checked_sub(1).and_then(|at| bytes.get(at));
    if before == Some(&b'(') && number.count == 1 {
        let rest = bytes.get(number.end..)?;
        let (rest, gap) = match rest {
            [b')', b' ', rest @ ..] => (rest, 2),
            [b')', rest @ ..] => (rest, 1),
            _ => return None,
        };
        let second = Number::at(rest, 0);
        let lengths = second.groups().iter().map(|(digits, _)| *digits);
        let goes_on = rest.get(second.end).is_some_and(u8::is_ascii_alphanumeric);
        if number.digits() != 3 || !lengths.eq([3, 4]) || goes_on {
            return None;
        }
        let end = number.end.checked_add(gap)?.checked_add(second.end)?;
        let begins = begins_as_one(bytes, number.start) && begins_as_one(rest, 0);
        let at = number.start.checked_sub(1)?..end;
        return begins.then(|| one("phone", FindingKind::Phone, Certainty::Likely, at));
    }
    let lengths = number.groups().iter().map(|(digits, _)| *digits);
    let is_written_so = lengths.eq([3, 3, 4]) && matches!(number.separator(), Some(b'-' | b'.'));
    let exchange = number.start.checked_add(4)?;
    let begins = begins_as_one(bytes, number.start) && begins_as_one(bytes, exchange);
    let is_part = before.is_some_and(|before| b".-/=".contains(before));
    (is_written_so && begins && !is_part)
        .then(|| one("phone", FindingKind::Phone, Certainty::Likely, number.start..number.end))
}

/// An area and an exchange begin with 2 to 9 (North American Numbering Plan).
fn begins_as_one(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(|first| (b'2'..=b'9').contains(first))
}
