//! Where a value ends, in JSON that may be damaged.

/// Why nobody knows where a value ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// The text ends before it.
    Cut,
    Broken,
}

/// Behind the value at `at`, where the rest of the text is `followed`.
pub(super) fn value_end(
    text: &[u8],
    at: usize,
    followed: impl Fn(&[u8], usize) -> bool,
) -> Result<usize, Damage> {
    match text.get(at).ok_or(Damage::Cut)? {
        b'"' => string_end(text, at, followed),
        b'{' | b'[' => {
            let damage = match nested_end(text, at) {
                Ok(end) if followed(text, end) => return Ok(end),
                Ok(_) => Damage::Broken,
                Err(damage) => damage,
            };
            // A quote too many or too few moves all strings behind it, and the brackets count alone. One that ends the
            // text is not the one meant: that one closes what the value is in.
            let more = |end: &usize| space(text, *end) < text.len() && followed(text, *end);
            brackets_end(text, at).filter(more).ok_or(damage)
        }
        _ => {
            let end = word_end(text, at);
            match text.get(end) {
                // Nobody knows whether there was more of it.
                None => Err(Damage::Cut),
                Some(_) if end > at && followed(text, end) => Ok(end),
                Some(_) => Err(Damage::Broken),
            }
        }
    }
}

/// Behind the first quote from `at` on that is not escaped.
pub(super) fn quote(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match text.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Behind white space.
pub(super) fn space(text: &[u8], at: usize) -> usize {
    skip(text, at, is_space)
}

/// Behind white space and commas.
pub(super) fn separators(text: &[u8], at: usize) -> usize {
    skip(text, at, |byte| is_space(byte) || byte == b',')
}

/// A quote inside of a text may be one that somebody forgot to escape, but none that a colon follows: that one ends a
/// name.
fn string_end(text: &[u8], at: usize, followed: impl Fn(&[u8], usize) -> bool) -> Result<usize, Damage> {
    let mut end = at + 1;
    loop {
        end = quote(text, end).ok_or(Damage::Cut)?;
        if followed(text, end) {
            return Ok(end);
        }
        if text.get(space(text, end)) == Some(&b':') {
            return Err(Damage::Broken);
        }
    }
}

/// What may come next in a list or an object.
#[derive(Clone, Copy)]
enum Next {
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    CommaOrEnd,
}

/// Behind the list or object at `at`, if all that is in it has its place.
fn nested_end(text: &[u8], mut at: usize) -> Result<usize, Damage> {
    // As long as the text at most. Recursion would be bounded by the stack instead.
    let mut closing = Vec::new();
    let mut next = Next::Value;
    loop {
        at = space(text, at);
        let byte = *text.get(at).ok_or(Damage::Cut)?;
        next = match (next, byte) {
            (Next::Value | Next::ValueOrEnd, b'{' | b'[') => {
                let (end, first) =
                    if byte == b'{' { (b'}', Next::NameOrEnd) } else { (b']', Next::ValueOrEnd) };
                closing.push(end);
                at += 1;
                first
            }
            (Next::Value | Next::ValueOrEnd, b'"') => {
                at = quote(text, at + 1).ok_or(Damage::Cut)?;
                Next::CommaOrEnd
            }
            (Next::Name | Next::NameOrEnd, b'"') => {
                at = space(text, quote(text, at + 1).ok_or(Damage::Cut)?);
                if text.get(at).ok_or(Damage::Cut)? != &b':' {
                    return Err(Damage::Broken);
                }
                at += 1;
                Next::Value
            }
            (Next::CommaOrEnd, b',') => {
                at += 1;
                if closing.last() == Some(&b'}') { Next::Name } else { Next::Value }
            }
            (Next::CommaOrEnd | Next::NameOrEnd | Next::ValueOrEnd, _) if closing.last() == Some(&byte) => {
                closing.pop();
                at += 1;
                if closing.is_empty() {
                    return Ok(at);
                }
                Next::CommaOrEnd
            }
            (Next::Value | Next::ValueOrEnd, _) if word_end(text, at) > at => {
                at = word_end(text, at);
                Next::CommaOrEnd
            }
            _ => return Err(Damage::Broken),
        };
    }
}

/// Behind the bracket that closes the one at `at`, as though there were no strings.
fn brackets_end(text: &[u8], at: usize) -> Option<usize> {
    let mut closing = Vec::new();
    for (at, &byte) in text.iter().enumerate().skip(at) {
        match byte {
            b'{' => closing.push(b'}'),
            b'[' => closing.push(b']'),
            b'}' | b']' if closing.pop() != Some(byte) => return None,
            b'}' | b']' if closing.is_empty() => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Behind a number, `true`, `false`, `null`, or what somebody takes for one.
fn word_end(text: &[u8], at: usize) -> usize {
    skip(text, at, |byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn skip(text: &[u8], at: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|&&byte| belongs(byte)).count()
}
