//! What IAM knows of one API call: the action and the condition keys that are present with it.

use std::{fmt, io::Write as _, net::IpAddr, str::FromStr, sync::Arc};

use serde::{Serialize, Serializer};
use thiserror::Error;

/// The condition keys that pins use or that bear on them.
///
/// A closed set on purpose: IAM takes a misspelt key without complaint and never finds it present,
/// so a typo in a policy would be a silent hole. Source of names, types and presence: IAM User
/// Guide, "AWS global condition context keys", and "Actions, resources, and condition keys for
/// Amazon EC2".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `aws:SourceIp`: the caller's public address; absent through a VPC endpoint.
    SourceIp,
    /// `aws:VpcSourceIp`: the caller's address inside the VPC; only through a VPC endpoint.
    VpcSourceIp,
    /// `aws:SourceVpc`: the endpoint's VPC; only through a VPC endpoint.
    SourceVpc,
    /// `aws:SourceVpce`: the endpoint; only through a VPC endpoint.
    SourceVpce,
    /// `aws:Ec2InstanceSourceVpc`: where the credential was delivered; a property of the credential.
    Ec2InstanceSourceVpc,
    /// `aws:Ec2InstanceSourcePrivateIPv4`: primary private address of the instance that the
    /// credential was delivered to; a property of the credential.
    Ec2InstanceSourcePrivateIpv4,
    /// `ec2:SourceInstanceARN`: the instance that the credential was delivered to.
    SourceInstanceArn,
    /// `ec2:RoleDelivery`: IMDS version that delivered it, 1.0 or 2.0.
    RoleDelivery,
    /// `aws:ViaAWSService`: a service calls on the caller's behalf (forward access session).
    ViaAwsService,
    /// `aws:TokenIssueTime`: when the credential was issued; temporary credentials only.
    TokenIssueTime,
    /// `aws:userid`: `AROA…:i-…` for an instance's session.
    UserId,
    /// `aws:PrincipalArn`: the role's ARN, never the session's.
    PrincipalArn,
}

/// Every key with its name in IAM's spelling.
const NAMES: [(Key, &str); 12] = [
    (Key::SourceIp, "aws:SourceIp"),
    (Key::VpcSourceIp, "aws:VpcSourceIp"),
    (Key::SourceVpc, "aws:SourceVpc"),
    (Key::SourceVpce, "aws:SourceVpce"),
    (Key::Ec2InstanceSourceVpc, "aws:Ec2InstanceSourceVpc"),
    (
        Key::Ec2InstanceSourcePrivateIpv4,
        "aws:Ec2InstanceSourcePrivateIPv4",
    ),
    (Key::SourceInstanceArn, "ec2:SourceInstanceARN"),
    (Key::RoleDelivery, "ec2:RoleDelivery"),
    (Key::ViaAwsService, "aws:ViaAWSService"),
    (Key::TokenIssueTime, "aws:TokenIssueTime"),
    (Key::UserId, "aws:userid"),
    (Key::PrincipalArn, "aws:PrincipalArn"),
];

/// A text that names no key of [`Key`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a condition key that credpin uses")]
pub struct UnknownKey(String);

impl Key {
    /// Every key.
    pub fn all() -> impl Iterator<Item = Key> {
        NAMES.iter().map(|(key, _)| *key)
    }

    /// The key as IAM spells it.
    pub fn name(self) -> &'static str {
        // NAMES has the keys in their order: a test compares.
        NAMES[self as usize].1
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Key {
    type Err = UnknownKey;

    /// IAM compares key names without regard to case.
    fn from_str(text: &str) -> Result<Self, UnknownKey> {
        NAMES
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map(|(key, _)| *key)
            .ok_or_else(|| UnknownKey(text.to_owned()))
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One API call as IAM sees it. A key that is not in its context is absent.
///
/// A key has one value: each of [`Key`] is single-valued (IAM User Guide, "Single-valued vs.
/// multivalued context keys"), so set operators have no place in a pin.
///
/// A proof makes millions of these from a few: to clone one copies no text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// The action, as `s3:GetObject`.
    #[serde(serialize_with = "text")]
    pub action: Arc<str>,
    /// ARN of what it is done to, where the action knows resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    context: Context,
}

/// How many keys say where a call comes from: the first of [`Key`]. The others say whose it is.
const OF_NETWORK: usize = 4;

/// The value of each key, in the order of [`Key`]. Calls with one credential share what it brings along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Context {
    network: [Option<ContextValue>; OF_NETWORK],
    credential: Arc<[Option<ContextValue>; NAMES.len() - OF_NETWORK]>,
}

/// The value of a key, and the address that it reads as: found once here and not at each test.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ContextValue {
    text: Arc<str>,
    address: Option<IpAddr>,
}

impl Request {
    /// A call of `action` without any key, done to nothing that has a name.
    pub fn new(action: impl Into<Arc<str>>) -> Self {
        Self {
            action: action.into(),
            resource: None,
            context: Context::default(),
        }
    }

    /// The same, done to what has this ARN.
    #[must_use]
    pub fn on(mut self, resource: impl fmt::Display) -> Self {
        self.resource = Some(resource.to_string());
        self
    }

    /// The same with `key` present.
    #[must_use]
    pub fn with(self, key: Key, value: impl fmt::Display) -> Self {
        self.with_text(key, value.to_string().into())
    }

    /// The same with a text that others have too.
    #[must_use]
    pub(crate) fn with_text(mut self, key: Key, text: Arc<str>) -> Self {
        let address = text.parse().ok();
        *self.context.place(key) = Some(ContextValue { text, address });
        self
    }

    /// The same with an address as the value of `key`.
    #[must_use]
    pub fn with_address(mut self, key: Key, address: IpAddr) -> Self {
        let text = written(address);
        let address = Some(address);
        *self.context.place(key) = Some(ContextValue { text, address });
        self
    }

    /// The same call of another action.
    #[must_use]
    pub fn of(mut self, action: impl Into<Arc<str>>) -> Self {
        self.action = action.into();
        self
    }

    /// The keys that are present, each with its value.
    pub fn context(&self) -> impl Iterator<Item = (Key, &str)> {
        self.context.present()
    }

    /// The value of `key`; none where it is absent.
    pub fn value(&self, key: Key) -> Option<&str> {
        self.get(key).map(|value| &*value.text)
    }

    /// The value of `key` as an address; none where it is absent or is something else.
    pub fn address(&self, key: Key) -> Option<IpAddr> {
        self.get(key)?.address
    }

    fn get(&self, key: Key) -> Option<&ContextValue> {
        self.context.get(key)
    }
}

/// An address as text.
fn written(address: IpAddr) -> Arc<str> {
    // The longest is an IPv6 address that ends as IPv4 is written.
    let mut text = [0; 45];
    let mut rest = &mut text[..];
    write!(rest, "{address}").expect("it is long enough for any address");
    let length = 45 - rest.len();
    std::str::from_utf8(&text[..length])
        .expect("an address is written in ASCII")
        .into()
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl Context {
    fn get(&self, key: Key) -> Option<&ContextValue> {
        let number = key as usize;
        let value = match number.checked_sub(OF_NETWORK) {
            None => &self.network[number],
            Some(number) => &self.credential[number],
        };
        value.as_ref()
    }

    fn place(&mut self, key: Key) -> &mut Option<ContextValue> {
        let number = key as usize;
        match number.checked_sub(OF_NETWORK) {
            None => &mut self.network[number],
            Some(number) => &mut Arc::make_mut(&mut self.credential)[number],
        }
    }

    fn present(&self) -> impl Iterator<Item = (Key, &str)> {
        Key::all().filter_map(|key| Some((key, &*self.get(key)?.text)))
    }
}

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.present())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_reads_back_from_its_name_in_any_case() {
        for key in Key::all() {
            assert_eq!(key.name().parse(), Ok(key));
            assert_eq!(key.name().to_uppercase().parse(), Ok(key));
        }
        assert!("aws:Via".parse::<Key>().is_err());
    }

    #[test]
    fn every_key_has_the_place_of_its_name() {
        for (place, key) in Key::all().enumerate() {
            assert_eq!(key as usize, place);
            let request = Request::new("s3:GetObject").with(key, place);
            let text = place.to_string();
            assert_eq!(request.value(key), Some(text.as_str()));
            assert!(request.context().eq([(key, text.as_str())]));
        }
    }
}
