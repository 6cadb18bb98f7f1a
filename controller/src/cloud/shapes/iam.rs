//! IAM's answers, and STS's on who is asking.

use credpin_core::id::PolicyName;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

answers! {
    /// `aws iam get-account-authorization-details`
    GetAccountAuthorizationDetails {
        role_detail_list: Vec<RoleDetail>,
        policies: Vec<ManagedPolicy>,
    } = "GetAccountAuthorizationDetails", "iam" "get-account-authorization-details" "--filter Role LocalManagedPolicy";
    /// `aws iam list-policy-tags`
    ListPolicyTags { tags: Vec<Tag> } = "ListPolicyTags", "iam" "list-policy-tags";
    /// `aws sts get-caller-identity`
    GetCallerIdentity { account: String, arn: String } = "GetCallerIdentity", "sts" "get-caller-identity";
}

shapes! {
    /// A role with what hangs on it.
    RoleDetail {
        path: Option<String>,
        role_name: Option<String>,
        role_id: Option<String>,
        arn: Option<String>,
        assume_role_policy_document: Option<PolicyText>,
        instance_profile_list: Vec<RoleProfile>,
        attached_managed_policies: Vec<AttachedPolicy>,
        tags: Vec<Tag>,
        role_last_used: Option<RoleLastUsed>,
    }
    /// When a role was last used, if it was of late.
    RoleLastUsed { last_used_date: Option<String> }
    /// An instance profile that holds the role.
    RoleProfile { arn: Option<String>, instance_profile_name: Option<String> }
    /// A managed policy on a role.
    AttachedPolicy { policy_name: Option<String>, policy_arn: Option<String> }
    /// A tag.
    Tag { key: String, value: String }
    /// A managed policy with all of its versions.
    ManagedPolicy {
        policy_name: Option<String>,
        arn: Option<String>,
        path: Option<String>,
        default_version_id: Option<String>,
        attachment_count: i32,
        policy_version_list: Vec<PolicyVersion>,
    }
    /// A version of a managed policy.
    PolicyVersion {
        document: Option<PolicyText>,
        version_id: Option<String>,
        is_default_version: bool,
        create_date: Option<String>,
    }
}

impl ManagedPolicy {
    /// Its name, which is the last part of its ARN. `PolicyName` says the same where it is there;
    /// not every answer has it.
    pub fn name(&self) -> Option<PolicyName> {
        self.arn.as_deref()?.rsplit('/').next()?.parse().ok()
    }
}

/// The JSON text of a policy document.
///
/// The AWS CLI prints a document as an object, the API gives it as URL-encoded text: both read as
/// the same text. It is not taken apart here, so that a duplicate key cannot get lost before the
/// strict parser of `credpin-core` sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText(String);

impl PolicyText {
    /// The document `json`.
    pub fn new(json: impl Into<String>) -> Self {
        Self(json.into())
    }

    /// From IAM's API, which URL-encodes documents (RFC 3986). Text that is not UTF-8 keeps its
    /// readable part: the parser of documents will say what is wrong with it.
    pub fn decode(encoded: &str) -> Self {
        Self(percent_decode_str(encoded).decode_utf8_lossy().into_owned())
    }

    /// The document.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for PolicyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        <&RawValue>::deserialize(&mut serde_json::Deserializer::from_str(&self.0))
            .map_err(ser::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PolicyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('"') {
            let encoded: String = serde_json::from_str(raw.get()).map_err(de::Error::custom)?;
            Ok(Self::decode(&encoded))
        } else {
            Ok(Self(raw.get().to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_the_same_as_an_object_and_as_url_encoded_text() {
        let object = r#"{"Document": {"Version":"2012-10-17","Statement":[]}}"#;
        let encoded =
            r#"{"Document": "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D"}"#;
        let read = |text| {
            serde_json::from_str::<PolicyVersion>(text)
                .unwrap()
                .document
        };
        assert_eq!(read(object), read(encoded));
        assert!(read(object).unwrap().as_str().starts_with("{\"Version\""));
    }

    #[test]
    fn a_duplicate_key_of_a_document_survives() {
        let text = r#"{"Document":{"Effect":"Deny","Effect":"Allow"}}"#;
        let version: PolicyVersion = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&version).unwrap(), text);
    }
}
