//! The members of a JSON object, whatever is wrong with the rest of it.
//!
//! A strict parser refuses an answer as a whole for one byte in a member that nobody needs, and the refresh token in
//! it is lost. Here only the bounds of names and values are looked for. In a valid text they are where RFC 8259 has
//! them. In any other text a member that is damaged is passed over, and the next one is looked for.

use super::bounds::{Damage, quote, separators, space, value_end};

/// So often is the next member looked for. Each time costs at most a few passes over the text.
const MAX_REPAIRS: usize = 16;

/// Longer names are not looked for.
const MAX_NAME: usize = 64;

/// The members of an object, in order.
#[derive(Debug)]
pub(super) struct Object<'a> {
    text: &'a [u8],
    at: usize,
    repairs: usize,
    whole: bool,
}

/// The text of a name with its quotes, and of a value.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) name: &'a [u8],
    /// `None`: damaged, or cut off. Of a list or an object that is cut off, what there is.
    pub(super) value: Option<&'a [u8]>,
    /// Was nothing damaged before it? Otherwise it may belong to an object inside of this one.
    pub(super) certain: bool,
}

impl<'a> Object<'a> {
    /// The object that `text` begins with. What follows it does not matter.
    pub(super) fn new(text: &'a [u8]) -> Option<Self> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let start = space(text, 0);
        let object = Self { text, at: start + 1, repairs: 0, whole: false };
        (text.get(start) == Some(&b'{')).then_some(object)
    }

    /// Was all of it read? Otherwise it may have had members that nobody has seen.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The member whose name begins at `start`. None, where that is no name.
    fn member(&mut self, start: usize) -> Option<Member<'a>> {
        let text = self.text;
        let certain = self.repairs == 0;
        let named = quote(text, start + 1).filter(|&end| text.get(space(text, end)) == Some(&b':'));
        let Some(name_end) = named else {
            self.repair(start + 1);
            return None;
        };
        let name = text.get(start..name_end)?;
        let from = space(text, space(text, name_end) + 1);
        let value = match value_end(text, from, followed) {
            Ok(end) => {
                self.at = end;
                text.get(from..end)
            }
            Err(Damage::Cut) => {
                self.at = text.len();
                text.get(from..).filter(|rest| matches!(rest.first(), Some(b'{' | b'[')))
            }
            Err(Damage::Broken) => {
                self.repair(from);
                None
            }
        };
        Some(Member { name, value, certain })
    }

    /// Are there members behind the brace before `from`, so that it stands for another byte? Not in a document of its
    /// own, such as what a server that fails later appends: no byte of an object that becomes a brace is before one.
    fn goes_on(&self, from: usize) -> bool {
        let appended = matches!(self.text.get(space(self.text, from)), Some(b'{' | b'[' | b'<'));
        !appended && next_member(self.text, from).is_some()
    }

    /// Goes on with the first member that begins behind `from`.
    fn repair(&mut self, from: usize) {
        let may = self.repairs < MAX_REPAIRS;
        self.repairs += 1;
        self.at = may.then(|| next_member(self.text, from)).flatten().unwrap_or(self.text.len());
    }
}

impl<'a> Iterator for Object<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        loop {
            let start = separators(self.text, self.at);
            match self.text.get(start)? {
                b'"' => {
                    if let Some(member) = self.member(start) {
                        return Some(member);
                    }
                }
                b'}' if self.repairs == 0 && !self.goes_on(start + 1) => {
                    self.whole = true;
                    self.at = self.text.len();
                    return None;
                }
                // After damage nobody knows which object a brace ends.
                _ => self.repair(start),
            }
        }
    }
}

/// The elements of the list that `text` begins with, as far as they can be told apart.
pub(super) fn elements(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 1;
    std::iter::from_fn(move || {
        let start = separators(text, at);
        let followed = |text: &[u8], end| matches!(text.get(space(text, end)), None | Some(b',' | b']'));
        let (element, end) = match value_end(text, start, followed) {
            Ok(end) => (text.get(start..end), end),
            Err(_) => {
                (text.get(start..).filter(|rest| matches!(rest.first(), Some(b'{' | b'['))), text.len())
            }
        };
        at = end;
        element
    })
}

/// May a value end here?
fn followed(text: &[u8], end: usize) -> bool {
    matches!(text.get(space(text, end)), None | Some(b',' | b'}'))
}

/// The quote of the next name: between a comma and a colon.
fn next_member(text: &[u8], from: usize) -> Option<usize> {
    let commas = text.iter().enumerate().skip(from).filter(|(_, byte)| **byte == b',');
    commas.map(|(comma, _)| space(text, comma + 1)).find(|&start| {
        let Some((b'"', rest)) = text.get(start..).and_then(<[u8]>::split_first) else {
            return false;
        };
        let name = rest.iter().take(MAX_NAME).take_while(|&&byte| !matches!(byte, b'"' | b'\\')).count();
        rest.get(name) == Some(&b'"') && rest.get(space(rest, name + 1)) == Some(&b':')
    })
}
