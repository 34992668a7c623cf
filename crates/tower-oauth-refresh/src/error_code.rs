//! The error codes a server may put into our errors and logs.
//!
//! What a server calls its error is text of a stranger: it may be a sentence, a page, or the token it was
//! just sent. Only text shaped like the codes of RFC 6749 §5.2 is kept, so that everything downstream can
//! print it without looking.

use std::fmt;

/// Longer than any registered code.
const MAX_LEN: usize = 64;

/// Codes are words; a token that slipped into the place of one is mostly full of digits.
const MAX_DIGITS: usize = 3;

/// Longer than the words of any code: a secret of letters alone is one long word.
const MAX_WORD: usize = 20;

/// A code such as `invalid_grant`: words of lower-case letters and a few digits, at most 64 characters.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ErrorCode(Box<str>);

impl ErrorCode {
    /// `text` if it is shaped like a code. Codes are case-sensitive, so `INVALID_GRANT` is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let shaped = text.len() <= MAX_LEN
            && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && text.bytes().all(letters)
            && text.split('_').all(|word| word.len() <= MAX_WORD)
            && text.bytes().filter(u8::is_ascii_digit).count() <= MAX_DIGITS;
        shaped.then(|| Self(text.into()))
    }

    /// The code.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_standards_and_of_providers_are_codes() {
        for code in ["invalid_grant", "slow_down", "refresh_token_reused", "oauth2_error", " invalid_client "]
        {
            let parsed = ErrorCode::parse(code).expect(code);
            assert_eq!(parsed.as_str(), code.trim());
            assert_eq!(format!("{parsed} {parsed:?}"), format!("{0} {0}", code.trim()));
        }
    }

    #[test]
    fn sentences_tokens_and_pages_are_not() {
        let long = "a_".repeat(33);
        for text in [
            "",
            " ",
            "_x",
            "9x",
            "Bad Request",
            "INVALID_GRANT",
            "invalid-grant",
            "<html>",
            "käse",
            "a\nb",
            "4f9d1c2ab77e40d3a1b2c3d4e5f60718",
            "qhzkwvtrlmxpoadjnbcye",
            &long,
        ] {
            assert!(ErrorCode::parse(text).is_none(), "{text:?}");
        }
    }
}
