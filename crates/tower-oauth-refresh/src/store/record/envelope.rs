//! What stands around a record's content: the format it is written in, and its checksum.
//!
//! `{"format":1,"sum":"…","record":{…}}`, byte for byte. The format is read before everything else, so that the record
//! of a newer release is told from a damaged one. The checksum covers every byte of the content, and all that is
//! not content has one spelling: damage in any byte is noticed. It is no protection against whoever can compute
//! one; that is [`Sealed`](crate::Sealed).

use sha2::{Digest as _, Sha256};

use crate::store::StoreError;

/// Grows when a release writes what earlier ones must not overwrite.
const FORMAT: u32 = 1;
const FORMAT_IS: &[u8] = b"{\"format\":";
const SUM_IS: &[u8] = b",\"sum\":\"";
const RECORD_IS: &[u8] = b"\",\"record\":";
const END: &[u8] = b"}";

/// The content, between what `write` puts around it.
pub(super) fn wrap(content: &[u8]) -> Vec<u8> {
    let format = FORMAT.to_string();
    [FORMAT_IS, format.as_bytes(), SUM_IS, &sum(content), RECORD_IS, content, END].concat()
}

/// The content, if it is whole and of this format.
pub(super) fn content(bytes: &[u8]) -> Result<&[u8], StoreError> {
    let Some(rest) = bytes.strip_prefix(FORMAT_IS) else {
        return Err(foreign(bytes));
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at_checked(digits).unwrap_or_default();
    let format = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
    match format {
        Some(FORMAT) if digits == FORMAT.to_string().as_bytes() => {}
        Some(newer) if newer > FORMAT => {
            let error =
                format!("written by a newer release, in format {newer} where this one reads {FORMAT}");
            return Err(StoreError::unreadable(error));
        }
        _ => return Err(damaged()),
    }
    let content = rest.strip_prefix(SUM_IS).and_then(|rest| {
        let (told, rest) = rest.split_first_chunk::<32>()?;
        let content = rest.strip_prefix(RECORD_IS)?.strip_suffix(END)?;
        (*told == sum(content)).then_some(content)
    });
    content.ok_or_else(damaged)
}

fn foreign(bytes: &[u8]) -> StoreError {
    match bytes.first() {
        // As a sealed record begins.
        Some(..=0x1f) => StoreError::unreadable("it is sealed, and the store was given no key to open it"),
        _ => StoreError::unreadable("not a record, or damaged"),
    }
}

fn damaged() -> StoreError {
    StoreError::unreadable("damaged: the checksum does not match")
}

/// 128 bits of SHA-256, in hexadecimal.
fn sum(content: &[u8]) -> [u8; 32] {
    let mut text = [0; 32];
    for (digits, byte) in text.chunks_exact_mut(2).zip(Sha256::digest(content)) {
        for (digit, half) in digits.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = char::from_digit(half.into(), 16).map_or(b'0', |digit| digit as u8);
        }
    }
    text
}
