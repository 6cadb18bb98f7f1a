//! Patterns in which `*` stands for any text, the empty one too, and `?` for one character.

/// A symbol of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbol {
    /// This character.
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
}

/// Whether `value` is as `pattern` says.
pub(crate) fn matches(pattern: impl Iterator<Item = Symbol> + Clone, value: &str) -> bool {
    walk(pattern, value, |a, b| a == b, |_| true)
}

/// The same for the name of an action, which has no case.
pub(crate) fn matches_ignoring_case(pattern: &str, value: &str) -> bool {
    // Most patterns begin otherwise.
    if let (Some(wanted), Some(found)) = (pattern.bytes().next(), value.bytes().next())
        && !matches!(wanted, b'*' | b'?')
        && !wanted.eq_ignore_ascii_case(&found)
    {
        return false;
    }
    walk(
        symbols(pattern),
        value,
        |a, b| a.eq_ignore_ascii_case(&b),
        |_| true,
    )
}

/// The symbols of a pattern as it is written.
pub(crate) fn symbols(pattern: &str) -> impl Iterator<Item = Symbol> + Clone {
    pattern.chars().map(|c| match c {
        '*' => Symbol::Many,
        '?' => Symbol::One,
        c => Symbol::Char(c),
    })
}

/// The same for an ARN, in which no wildcard stands for one of the five colons between its parts.
/// Then each of these colons is one of the pattern's, and the parts are compared pairwise.
pub(crate) fn matches_arn(pattern: impl Iterator<Item = Symbol> + Clone, value: &str) -> bool {
    let Some((last_colon, _)) = value.match_indices(':').nth(4) else {
        return false;
    };
    let wild = |at| at > last_colon || !value[at..].starts_with(':');
    walk(pattern, value, |a, b| a == b, wild)
}

/// Matches with at most one way back: where a later `*` has been reached, an earlier one need not
/// take more. `wild` says whether a wildcard may stand for the character at a byte of `value`.
fn walk<P: Iterator<Item = Symbol> + Clone>(
    pattern: P,
    value: &str,
    same: fn(char, char) -> bool,
    wild: impl Fn(usize) -> bool,
) -> bool {
    let mut symbols = pattern;
    let mut chars = value.char_indices();
    // The pattern behind the last `*`, and where that `*` ends so far.
    let mut last_many: Option<(P, std::str::CharIndices<'_>)> = None;
    loop {
        let here = chars.clone();
        let (symbol, next) = (symbols.next(), chars.next());
        let fits = match (symbol, next) {
            (None, None) => return true,
            (Some(Symbol::Many), _) => {
                chars = here.clone();
                last_many = Some((symbols.clone(), here));
                true
            }
            (Some(Symbol::One), Some((at, _))) => wild(at),
            (Some(Symbol::Char(wanted)), Some((_, found))) => same(wanted, found),
            (Some(_), None) | (None, Some(_)) => false,
        };
        if fits {
            continue;
        }
        let Some((behind, end)) = &mut last_many else {
            return false;
        };
        match end.next() {
            Some((at, _)) if wild(at) => {
                symbols = behind.clone();
                chars = end.clone();
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prop_assert_eq, proptest};

    use super::*;

    /// What the words say, tried in every way.
    fn plainly(pattern: &[char], value: &[char]) -> bool {
        match (pattern, value) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=value.len()).any(|n| plainly(rest, &value[n..])),
            (['?', rest @ ..], [_, others @ ..]) => plainly(rest, others),
            ([wanted, rest @ ..], [found, others @ ..]) if wanted == found => plainly(rest, others),
            _ => false,
        }
    }

    fn texts_plainly(pattern: &str, value: &str) -> bool {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        plainly(&chars(pattern), &chars(value))
    }

    fn arns_plainly(pattern: &str, value: &str) -> bool {
        let parts = |arn| str::splitn(arn, 6, ':').collect::<Vec<_>>();
        let (pattern, value) = (parts(pattern), parts(value));
        pattern.len() == 6
            && value.len() == 6
            && pattern
                .iter()
                .zip(value)
                .all(|(pattern, value)| texts_plainly(pattern, value))
    }

    /// `value` with some of its characters made wild or dropped, so that most patterns match.
    fn blurred(value: &str, blur: &[u8]) -> String {
        let blur = blur.iter().chain(std::iter::repeat(&u8::MAX));
        let pairs = value.chars().zip(blur);
        pairs.fold(String::new(), |pattern, (c, blur)| match blur {
            0 => pattern + "*",
            1 => pattern + "?",
            2 => pattern,
            3 => pattern + "*" + &c.to_string(),
            _ => pattern + &c.to_string(),
        })
    }

    proptest! {
        #[test]
        fn text_matches_where_the_words_say_so(
            pattern in "[ab*?]{0,8}",
            value in "[abé]{0,8}",
            blur in vec(0..6_u8, 0..8),
        ) {
            for pattern in [&pattern, &blurred(&value, &blur)] {
                let plainly = texts_plainly(pattern, &value);
                prop_assert_eq!(matches(symbols(pattern), &value), plainly);
                let shouted = value.to_ascii_uppercase();
                prop_assert_eq!(matches_ignoring_case(pattern, &shouted), plainly);
            }
        }

        #[test]
        fn arns_match_where_all_their_parts_do(
            pattern in "([ab*?]{0,3}:){4,6}[ab:*?]{0,5}",
            value in "([ab]{0,2}:){4,6}[ab:]{0,4}",
            blur in vec(0..9_u8, 0..16),
        ) {
            for pattern in [&pattern, &blurred(&value, &blur)] {
                prop_assert_eq!(matches_arn(symbols(pattern), &value), arns_plainly(pattern, &value));
            }
        }
    }
}
