//! How long a document is as IAM counts it, without writing it.
//!
//! A search for the best pin asks for the sizes of thousands of statements and writes few of them. A test
//! holds this against what [`super::write`] writes.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Actions, Document, Operator, Piece, Resources, Statement, Test, Text};
use crate::request::Key;

/// What stands around the statements.
const DOCUMENT: usize = r#"{"Version":"2012-10-17","Statement":[]}"#.len();
/// What stands around a statement's name.
const NAME: usize = r#"{"Sid":,"Effect":"Deny","#.len();
/// What stands around the values of `Action` and `Resource`, and closes the statement.
const ACTION: usize = r#""Action":,"Resource":}"#.len();
/// The same of `NotAction`.
const NOT_ACTION: usize = ACTION + "Not".len();
/// What stands around the conditions.
const CONDITION: usize = r#","Condition":{}"#.len();

impl Document {
    /// Its length as IAM counts it against [`super::MANAGED_POLICY_QUOTA`].
    pub fn size(&self) -> usize {
        let sizes = self.statements.iter().map(Statement::size).sum::<usize>();
        DOCUMENT + sizes + commas(self.statements.len())
    }
}

impl Statement {
    /// Its length in a document as IAM counts it, without the comma between two.
    pub fn size(&self) -> usize {
        let actions = match &*self.actions {
            Actions::Only(patterns) => ACTION + of_values(patterns, |it| quoted(it)),
            Actions::AllBut(patterns) => NOT_ACTION + of_values(patterns, |it| quoted(it)),
        };
        let resources = match &self.resources {
            Resources::Every => quoted("*"),
            Resources::Only(arns) => of_values(arns, |arn| quoted(arn.as_str())),
        };
        NAME + quoted(&self.sid) + actions + resources + self.size_of_conditions()
    }

    fn size_of_conditions(&self) -> usize {
        let mut size = 0;
        // They are in the order of their operators, each of which stands once.
        let mut last: Option<Operator> = None;
        for ((operator, key), test) in &self.conditions {
            size += quoted(key.name()) + ":".len() + test.size();
            size += if last.replace(*operator) == Some(*operator) {
                ",".len()
            } else {
                quoted(operator.name()) + ":{},".len()
            };
        }
        if last.is_some() {
            // No comma stands behind the last.
            CONDITION + size - 1
        } else {
            0
        }
    }
}

impl Test {
    fn size(&self) -> usize {
        match self {
            Test::Null(value) | Test::BoolIfExists(value) => of_value(&value.to_string()),
            Test::DateLessThan(time) => of_value(&time.to_string()),
            Test::StringEquals(texts)
            | Test::StringNotEquals(texts)
            | Test::StringNotEqualsIfExists(texts)
            | Test::StringLike(texts)
            | Test::ArnEquals(texts) => of_values(texts, Text::size),
            Test::IpAddress(nets) | Test::NotIpAddress(nets) | Test::NotIpAddressIfExists(nets) => {
                of_nets(nets)
            }
        }
    }
}

impl Text {
    fn size(&self) -> usize {
        let piece = |piece: &Piece| match piece {
            Piece::Literal(text) => {
                // `$` is written as `${$}`.
                escaped(text) + text.matches('$').count() * 3
            }
            Piece::Variable(key) => "${}".len() + Key::name(*key).len(),
        };
        2 + self.0.iter().map(piece).sum::<usize>()
    }
}

/// Of a list of prefixes.
pub(crate) fn of_nets(nets: &[IpNet]) -> usize {
    of_values(nets, |net| 2 + of_net(net))
}

/// Of values as IAM writes them: a single one stands without brackets.
fn of_values<T>(values: &[T], size: impl Fn(&T) -> usize) -> usize {
    let sizes = values.iter().map(size).sum::<usize>();
    match values.len() {
        1 => sizes,
        many => "[]".len() + sizes + commas(many),
    }
}

fn commas(values: usize) -> usize {
    values.saturating_sub(1)
}

fn of_value(text: &str) -> usize {
    quoted(text)
}

/// Of a text in JSON.
fn quoted(text: &str) -> usize {
    2 + escaped(text)
}

/// Blanks are not counted (IAM User Guide, "IAM and STS quotas"), but for those that JSON escapes.
fn escaped(text: &str) -> usize {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        return text.len();
    }
    let of = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if c < ' ' => r"\u0000".len(),
        c => usize::from(!c.is_whitespace()),
    };
    text.chars().map(of).sum()
}

/// Of a prefix as text.
fn of_net(net: &IpNet) -> usize {
    let digits = |number: u8| match number {
        0..10 => 1,
        10..100 => 2,
        _ => 3,
    };
    let of_ipv4 = |address: Ipv4Addr| {
        let numbers = address.octets().map(digits);
        numbers.iter().sum::<usize>() + "...".len()
    };
    let address = match net {
        IpNet::V4(net) => of_ipv4(net.addr()),
        IpNet::V6(net) => match net.addr().to_ipv4_mapped() {
            Some(address) => "::ffff:".len() + of_ipv4(address),
            None => of_ipv6(net.addr()),
        },
    };
    address + "/".len() + digits(net.prefix_len())
}

/// Of an address that maps no IPv4 address: the longest run of zeros, if it is of two groups or more, is
/// written as `::` (RFC 5952).
fn of_ipv6(address: Ipv6Addr) -> usize {
    let groups = address.segments();
    let (mut begin, mut zeros, mut at) = (0, 0, 0);
    for run in groups.chunk_by(|one, next| (*one == 0) == (*next == 0)) {
        if run[0] == 0 && run.len() > zeros {
            (begin, zeros) = (at, run.len());
        }
        at += run.len();
    }
    let digits = |group: u16| (19 - group.leading_zeros().min(15)) as usize / 4;
    let written: usize = groups.map(digits).iter().sum();
    let colons = |groups: usize| groups.saturating_sub(1);
    if zeros < 2 {
        return written + colons(groups.len());
    }
    let behind = groups.len() - begin - zeros;
    written - zeros + colons(begin) + "::".len() + colons(behind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Addresses with runs of zeros, and such that hold an IPv4 address.
    fn address() -> impl Strategy<Value = Ipv6Addr> {
        let group = prop_oneof![3 => Just(0), 1 => any::<u16>(), 1 => 0..=0x1f_u16];
        let mixed = prop::collection::vec(group, 8).prop_map(|groups| {
            let groups: [u16; 8] = groups.try_into().expect("eight of them");
            Ipv6Addr::from(groups)
        });
        let of_ipv4 = any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).to_ipv6_mapped());
        prop_oneof![5 => mixed, 1 => of_ipv4]
    }

    proptest! {
        #[test]
        fn an_address_is_as_long_as_it_is_written(address in address(), length in 0..=128_u8) {
            let net = IpNet::new(address.into(), length).unwrap();
            prop_assert_eq!(of_net(&net), net.to_string().len(), "{}", net);
        }
    }
}
