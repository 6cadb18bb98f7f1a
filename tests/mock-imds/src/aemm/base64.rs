//! Base64, as user data is written in the config file.

const PADDING: u8 = b'=';

/// The bytes of a text in base64 (RFC 4648, with padding; line breaks are skipped, as Go does);
/// `None` where it is none.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let blocks = digits.chunks_exact(4);
    if !blocks.remainder().is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    let mut ended = false;
    for block in blocks {
        let padding = block.iter().rev().take_while(|&&d| d == PADDING).count();
        if ended || padding > 2 {
            return None;
        }
        ended = padding > 0;
        let mut bits = 0_u32;
        for &digit in &block[..4 - padding] {
            bits = bits << 6 | u32::from(sextet(digit)?);
        }
        bits <<= 6 * padding;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_is_base64_and_nothing_else() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9v\nYg==\n", b"foob"),
            ("+/+/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
        }
        for text in [
            "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm9v!", "Zm-_", "=Zm8",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
