//! The code of a voucher: 80 random bits, written so that people can read them out and type them in.
//!
//! The letters and digits are Crockford's base 32: without `I`, `L`, `O` and `U`, which are easily confused.

use std::fmt;
use std::str::FromStr;

const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Symbols of a code, five bits each.
const LENGTH: usize = 16;

/// A code. Only [`Code::reveal`] shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code([u8; LENGTH]);

impl Code {
    /// Writes 80 bits as a code.
    pub fn new(secret: [u8; 10]) -> Code {
        let bits = secret.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        Code(std::array::from_fn(|index| SYMBOLS[(bits >> (5 * (LENGTH - 1 - index)) & 31) as usize]))
    }

    /// The 16 letters and digits, as they are stored.
    pub fn plain(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The letters and digits in groups of four, for its customer.
    pub fn reveal(&self) -> String {
        let text = self.plain();
        [&text[..4], &text[4..8], &text[8..12], &text[12..]].join("-")
    }
}

/// A text that can't be a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the 16 letters and digits of a voucher, with or without hyphens")]
pub struct NotACode;

impl FromStr for Code {
    type Err = NotACode;

    /// As people type it: in upper or lower case, with hyphens and spaces anywhere, `O` for `0`, `I` and `L` for `1`.
    fn from_str(text: &str) -> Result<Code, NotACode> {
        let symbol = |letter: char| match letter.to_ascii_uppercase() {
            'O' => Some(b'0'),
            'I' | 'L' => Some(b'1'),
            letter => SYMBOLS.iter().copied().find(|symbol| char::from(*symbol) == letter),
        };
        let letters = text.chars().filter(|letter| !matches!(letter, '-' | ' '));
        let symbols: Vec<u8> = letters.map(symbol).collect::<Option<_>>().ok_or(NotACode)?;
        symbols.try_into().map(Code).map_err(|_| NotACode)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret code")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Result<Code, NotACode> {
        text.parse()
    }

    #[test]
    fn a_code_is_base_32_of_its_bits() {
        assert_eq!(Code::new([0; 10]).reveal(), "0000-0000-0000-0000");
        assert_eq!(Code::new([0xff; 10]).reveal(), "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
        assert_eq!(Code::new([0, 0, 0, 0, 0, 0, 0, 0, 0, 33]).reveal(), "0000-0000-0000-0011");
        assert_eq!(Code::new([0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0]).reveal(), "1000-0000-0000-0000");
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let expected = code("01AB-CDEF-GHJK-MNPQ").expect("it is a code");
        assert_eq!(expected.reveal(), "01AB-CDEF-GHJK-MNPQ");
        for typed in ["01ABCDEFGHJKMNPQ", "oiab cdef ghjk mnpq", "OLab-CDEF-ghjk-mnpq ", "-01A-BCD-EFG-HJK-MNPQ"] {
            assert_eq!(code(typed), Ok(expected), "{typed}");
        }
    }

    #[test]
    fn what_has_other_letters_or_another_length_is_no_code() {
        for typed in [
            "",
            "01AB",
            "01AB-CDEF-GHJK-MNPQ-R",
            "01AB-CDEF-GHJK-MNPU",
            "01AB_CDEF_GHJK_MNPQ",
            "가".repeat(16).as_str(),
        ] {
            assert_eq!(code(typed), Err(NotACode), "{typed}");
        }
    }

    #[test]
    fn a_code_is_not_shown_where_values_are_printed() {
        let shown = format!("{:?}", Some(Code::new([0; 10])));
        assert!(!shown.contains("00"), "{shown}");
    }
}
