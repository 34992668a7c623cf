//! All keys that begin alike, as a range.

/// The first string, in the order of bytes, after all those that begin with `prefix`. `None`: there is no
/// such string.
pub(crate) fn end(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    // The order of bytes is the order of code points, since that is how UTF-8 was made.
    while let Some(last) = end.pop() {
        if let Some(next) = following(last) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

fn following(c: char) -> Option<char> {
    // Steps over the surrogates, and ends at the last code point.
    (c..=char::MAX).nth(1)
}

#[cfg(test)]
mod tests {
    use super::end;

    #[test]
    fn the_end_is_the_next_string_that_does_not_begin_so() {
        assert_eq!(end("user-1").as_deref(), Some("user-2"));
        assert_eq!(end("a\u{10ffff}\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end("\u{d7ff}").as_deref(), Some("\u{e000}"), "no surrogates in between");
        assert_eq!(end("\u{7f}").as_deref(), Some("\u{80}"), "one byte, then two");
        assert_eq!(end(""), None);
        assert_eq!(end("\u{10ffff}"), None);
    }
}
