//! How tokens in a tokenizer.json spell bytes.

/// The character that stands for each byte in a byte-level BPE (GPT-2): printable Latin-1 is itself, the other 68
/// bytes are the characters from U+0100 on.
pub fn byte_level() -> [char; 256] {
    let mut alphabet = ['\0'; 256];
    let mut next = 0x100;
    for byte in 0..=255u8 {
        alphabet[usize::from(byte)] = match byte {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => {
                next += 1;
                char::from_u32(next - 1).unwrap_or('\u{fffd}')
            }
        };
    }
    alphabet
}

/// The sign for a space in SentencePiece and Llama vocabularies, U+2581.
pub const SPACE_SIGN: char = '\u{2581}';

/// What tokens of a vocabulary spell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Every character is a byte of [`byte_level`].
    ByteLevel,
    /// Characters are themselves, [`SPACE_SIGN`] is a space if `space_sign`, `<0x41>` is a byte if `byte_tokens`.
    Characters { space_sign: bool, byte_tokens: bool },
}

impl Spelling {
    /// The bytes that a token stands for; none if it is not spelled this way.
    pub fn bytes(self, token: &str) -> Option<Vec<u8>> {
        match self {
            Self::ByteLevel => token.chars().map(byte_of).collect(),
            Self::Characters {
                space_sign,
                byte_tokens,
            } => {
                if byte_tokens && let Some(byte) = byte_token(token) {
                    return Some(vec![byte]);
                }
                if space_sign {
                    return Some(token.replace(SPACE_SIGN, " ").into_bytes());
                }
                Some(token.as_bytes().to_vec())
            }
        }
    }
}

/// The byte that a character of the byte-level alphabet stands for.
fn byte_of(char: char) -> Option<u8> {
    match u32::from(char) {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => u8::try_from(u32::from(char)).ok(),
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// The byte of `<0x41>`.
pub fn byte_token(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character_and_back() {
        let alphabet = byte_level();
        for (byte, &char) in alphabet.iter().enumerate() {
            assert_eq!(byte_of(char), Some(byte as u8), "{char:?}");
        }
        assert_eq!(byte_of(' '), None);
        assert_eq!(byte_of('\u{ad}'), None);
        assert_eq!(byte_of('\u{144}'), None);
    }

    #[test]
    fn spellings() {
        let characters = Spelling::Characters {
            space_sign: true,
            byte_tokens: true,
        };
        assert_eq!(characters.bytes("▁the").unwrap(), b" the");
        assert_eq!(characters.bytes("<0x0A>").unwrap(), b"\n");
        assert_eq!(characters.bytes("<0x+1>").unwrap(), b"<0x+1>");
        assert_eq!(Spelling::ByteLevel.bytes("Ġthe").unwrap(), b" the");
        assert_eq!(Spelling::ByteLevel.bytes("▁the"), None);
        let plain = Spelling::Characters {
            space_sign: false,
            byte_tokens: false,
        };
        assert_eq!(plain.bytes("<0x0A>▁").unwrap(), "<0x0A>▁".as_bytes());
    }
}
