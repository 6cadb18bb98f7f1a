//! As much of DER (ITU-T X.690) as a signed message is made of.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// `[0]`, explicit.
pub(crate) const CONTEXT_0: u8 = 0xa0;

/// One element.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut encoded = vec![tag];
    if length < 0x80 {
        encoded.extend(u8::try_from(length));
    } else {
        let digits = length.to_be_bytes();
        let digits = &digits[usize::try_from(length.leading_zeros() / 8).unwrap_or(0)..];
        encoded.extend(u8::try_from(0x80 | digits.len()));
        encoded.extend(digits);
    }
    encoded.extend(content);
    encoded
}

/// One element that holds others.
pub(crate) fn of(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    element(tag, &parts.concat())
}

/// The first element of `bytes` with its tag and length, its content alone, and what comes after it.
/// `None` where there is none.
pub(crate) fn first(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let short = usize::from(*bytes.get(1)?);
    let (start, length) = match short.checked_sub(0x80) {
        None => (2, short),
        Some(digits) => {
            let digits = bytes.get(2..2 + digits)?;
            let length = digits.iter().try_fold(0_usize, |length, digit| {
                Some(length.checked_mul(256)? + usize::from(*digit))
            })?;
            (2 + digits.len(), length)
        }
    };
    let end = start.checked_add(length)?;
    Some((bytes.get(..end)?, bytes.get(start..end)?, bytes.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_short_as_can_be_and_read_back() {
        for (length, head) in [
            (0, &[4, 0][..]),
            (0x7f, &[4, 0x7f]),
            (0x80, &[4, 0x81, 0x80]),
            (0x100, &[4, 0x82, 1, 0]),
            (0x1_0000, &[4, 0x83, 1, 0, 0]),
        ] {
            let content = vec![7; length];
            let encoded = element(OCTET_STRING, &content);
            assert_eq!(encoded[..head.len()], *head);
            let more = [&encoded[..], b"more"].concat();
            assert_eq!(
                first(&more),
                Some((&encoded[..], &content[..], &b"more"[..]))
            );
            assert_eq!(first(&encoded[..encoded.len() - 1]), None, "cut short");
        }
    }
}
