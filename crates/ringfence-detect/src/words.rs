//! Many words found in one pass over a text: what its next three bytes are is looked up in a table of 8 KiB, and words
//! are compared only where one could begin.
//!
//! An automaton that follows all words at once takes four times as long, as each of its steps waits for the one before.

/// Bytes by which a word is looked up; none is shorter.
pub(crate) const GRAM: usize = 3;

/// Bits of a place in the table.
const BITS: u32 = 16;

/// Words, each with what it stands for.
#[derive(Debug)]
pub(crate) struct Words<T> {
    /// One bit for each place, set where a word begins with bytes that lead there.
    table: Vec<u64>,
    /// The words by their place, in its order.
    entries: Vec<(u16, Box<[u8]>, T)>,
    /// Where the words of a place begin.
    firsts: Vec<u16>,
}

impl<T: Copy> Words<T> {
    /// Words that are shorter than [`GRAM`] are left out; a test says that there are none.
    pub(crate) fn new(all: Vec<(Vec<u8>, T)>) -> Words<T> {
        let mut words: Vec<(u16, Box<[u8]>, T)> = all
            .into_iter()
            .filter_map(|(word, what)| Some((place(&word)?, word.into_boxed_slice(), what)))
            .collect();
        words.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        words.truncate(usize::from(u16::MAX));
        let mut table = vec![0_u64; 1 << (BITS - 6)];
        let mut firsts = vec![0_u16; 1 << BITS];
        for (number, (place, ..)) in words.iter().enumerate().rev() {
            if let Some(bits) = table.get_mut(usize::from(place >> 6)) {
                *bits |= 1 << (place & 63);
            }
            if let (Some(first), Ok(number)) =
                (firsts.get_mut(usize::from(*place)), u16::try_from(number))
            {
                *first = number;
            }
        }
        Words { table, entries: words, firsts }
    }

    /// Tells of each word where it stands, in the order of the text.
    pub(crate) fn each(&self, text: &[u8], met: &mut dyn FnMut(T, usize)) {
        for (at, gram) in text.windows(GRAM).enumerate() {
            let Some(place) = place(gram) else { continue };
            let bits = self.table.get(usize::from(place >> 6)).copied().unwrap_or_default();
            if bits & (1 << (place & 63)) != 0 {
                self.at(text, (at, place), met);
            }
        }
    }

    #[cold]
    fn at(&self, text: &[u8], (at, place): (usize, u16), met: &mut dyn FnMut(T, usize)) {
        let first = self.firsts.get(usize::from(place)).copied().map_or(0, usize::from);
        let rest = text.get(at..).unwrap_or_default();
        let of_place = self.entries.get(first..).unwrap_or_default().iter();
        for (_, word, what) in of_place.take_while(|(of, ..)| *of == place) {
            if rest.starts_with(word) {
                met(*what, at);
            }
        }
    }
}

/// Where three bytes are looked up (multiplicative hashing, Knuth 6.4).
fn place(bytes: &[u8]) -> Option<u16> {
    let [one, two, three, ..] = bytes else { return None };
    let gram = u32::from_le_bytes([*one, *two, *three, 0]);
    u16::try_from(gram.wrapping_mul(0x9e37_79b1) >> (32 - BITS)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_met_wherever_it_stands() {
        let all = ["abc", "abcd", "bcd", "xyz", "sk-", "sk-ant-"];
        let words = Words::new(all.iter().map(|word| (word.as_bytes().to_vec(), *word)).collect());
        let text = b"abcd sk-ant- xy abc";
        let mut found = Vec::new();
        words.each(text, &mut |word, at| found.push((at, word)));
        found.sort_unstable();
        assert_eq!(
            found,
            [(0, "abc"), (0, "abcd"), (1, "bcd"), (5, "sk-"), (5, "sk-ant-"), (16, "abc")]
        );
    }

    #[test]
    fn a_text_shorter_than_any_word_has_none() {
        let words = Words::new(vec![(b"abc".to_vec(), ())]);
        for text in ["", "a", "ab"] {
            words.each(text.as_bytes(), &mut |(), _| panic!("{text}"));
        }
    }
}
