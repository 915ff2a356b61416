use super::body::BrokenBody;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// What one POST says. Clients encode each request by itself, so that padding comes in the midst of it, and begins
/// nothing new but the next four characters. Line ends and blanks mean nothing (RFC 2045 §6.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base64Run {
    held: [u8; 4],
    count: usize,
}

impl Base64Run {
    /// Adds what `bytes`, cut anywhere, stand for to `decoded`.
    ///
    /// # Errors
    /// There is something else in them.
    pub fn push(&mut self, bytes: &[u8], decoded: &mut Vec<u8>) -> Result<(), BrokenBody> {
        for byte in bytes.iter().filter(|byte| !byte.is_ascii_whitespace()) {
            self.held[self.count] = *byte;
            self.count += 1;
            if self.count == self.held.len() {
                self.count = 0;
                ENGINE.decode_vec(self.held, decoded).map_err(|_| BrokenBody::NotBase64)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    #[test]
    fn other_bytes_are_refused() {
        for wrong in ["A===", "====", "AB=C", "AB\0D", "A-_D", "OPTI ONS *"] {
            assert_eq!(
                Base64Run::default().push(wrong.as_bytes(), &mut Vec::new()),
                Err(BrokenBody::NotBase64),
                "{wrong}"
            );
        }
        let mut decoded = Vec::new();
        // Bits that mean nothing are left alone, and what is unfinished waits.
        assert_eq!(Base64Run::default().push(b"QR==\r\nQUI", &mut decoded), Ok(()));
        assert_eq!(decoded, b"A");
    }

    proptest! {
        #[test]
        fn requests_encoded_one_by_one_come_out_in_one_piece(
            requests in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
            cut in 1usize..20,
        ) {
            let encoded: String = requests.iter().map(|request| STANDARD.encode(request) + "\r\n").collect();
            let (mut run, mut decoded) = (Base64Run::default(), Vec::new());
            for piece in encoded.as_bytes().chunks(cut) {
                prop_assert_eq!(run.push(piece, &mut decoded), Ok(()));
            }
            prop_assert_eq!(decoded, requests.concat());
        }
    }
}
