//! Texts that look like tokens.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha512};

/// Draws token texts: random to everybody, and the same for the same seed.
#[derive(Debug)]
pub(super) struct Mint {
    seed: u64,
    drawn: u64,
}

impl Mint {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// Base64url, 86 characters.
    pub(super) fn access_token(&mut self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.draw())
    }

    /// Holds `/`, `+` and `=`, which RFC 6749 §A.17 allows and careless form encoding destroys.
    pub(super) fn refresh_token(&mut self) -> String {
        let draw = self.draw();
        let (left, right) = draw.split_at(18);
        let right = BASE64_STANDARD_NO_PAD.encode(right);
        format!("1//{}+{right}==", BASE64_STANDARD_NO_PAD.encode(left))
    }

    fn draw(&mut self) -> [u8; 64] {
        self.drawn += 1;
        let mut hash = Sha512::new_with_prefix(self.seed.to_be_bytes());
        hash.update(self.drawn.to_be_bytes());
        hash.finalize().into()
    }
}
