//! The test's own hands in moto's account: boto3 in a process that stays, for any call of any service.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::credentials::Credentials;
use crate::judge::Policy;
use crate::moto::Moto;
use crate::peer::Peer;
use crate::tools::Tools;

/// A signed-in boto3.
#[derive(Debug)]
pub struct Account(Peer);

/// An AWS API's error answer, to be had from [`Account::call`]'s error by `downcast_ref`.
#[derive(Clone, Debug, PartialEq, Eq, Error, Deserialize)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// Such as `NoSuchEntity`.
    pub code: String,
    /// The message for people.
    pub message: String,
}

#[derive(Serialize)]
struct Question<'a> {
    service: &'a str,
    region: &'a str,
    call: &'a str,
    params: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Result(Value),
    Error(ApiError),
}

impl Account {
    /// Signs in.
    pub fn sign_in(tools: &Tools, moto: &Moto) -> Result<Self> {
        Self::sign_in_as(tools, moto, &Credentials::of_moto())
    }

    /// Signs in with these credentials.
    pub fn sign_in_as(tools: &Tools, moto: &Moto, credentials: &Credentials) -> Result<Self> {
        let peer = moto.admit_as(tools.python("peer.py")?, credentials);
        Ok(Self(Peer::start(peer)?))
    }

    /// Credentials of another account of moto's, which has as many as are asked for.
    pub async fn credentials_in(&self, account: &str) -> Result<Credentials> {
        let role = format!("arn:aws:iam::{account}:role/of-the-tests");
        let request = json!({"RoleArn": role, "RoleSessionName": "tests"});
        let assumed = self
            .call("sts", "eu-west-1", "assume_role", request)
            .await?;
        let credentials = &assumed["Credentials"];
        Ok(Credentials {
            access_key_id: string(credentials, "AccessKeyId")?.to_owned(),
            secret_access_key: string(credentials, "SecretAccessKey")?.to_owned(),
            token: Some(string(credentials, "SessionToken")?.to_owned()),
        })
    }

    /// Makes a call by boto3's names, such as `"iam", "us-east-1", "get_role", {"RoleName": "web"}`, and
    /// reads every page of it.
    pub async fn call(
        &self,
        service: &str,
        region: &str,
        call: &str,
        params: Value,
    ) -> Result<Value> {
        let question = Question {
            service,
            region,
            call,
            params,
        };
        match self.0.ask(&question).await? {
            Answer::Result(result) => Ok(result),
            Answer::Error(error) => {
                Err(anyhow::Error::new(error).context(format!("{service} {call} failed")))
            }
        }
    }

    /// The identity policies that are in force for a role now: of each attached managed policy the
    /// default version, named by the policy's ARN, and the inline ones, named `inline/NAME`.
    pub async fn role_policies(&self, role: &str) -> Result<Vec<Policy>> {
        let mut policies = Vec::new();
        let attached = self
            .iam("list_attached_role_policies", json!({"RoleName": role}))
            .await?;
        for policy in array(&attached, "AttachedPolicies")? {
            let arn = string(policy, "PolicyArn")?;
            let found = self.iam("get_policy", json!({"PolicyArn": arn})).await?;
            let version = string(&found["Policy"], "DefaultVersionId")?;
            let got = self
                .iam(
                    "get_policy_version",
                    json!({"PolicyArn": arn, "VersionId": version}),
                )
                .await?;
            if arn.contains(":policy/credpin/credpin") {
                credpin_witness::note(got["PolicyVersion"]["Document"].to_string());
            }
            policies.push(Policy {
                name: arn.to_owned(),
                document: got["PolicyVersion"]["Document"].clone(),
            });
        }
        let inline = self
            .iam("list_role_policies", json!({"RoleName": role}))
            .await?;
        for name in array(&inline, "PolicyNames")? {
            let got = self
                .iam(
                    "get_role_policy",
                    json!({"RoleName": role, "PolicyName": name}),
                )
                .await?;
            policies.push(Policy {
                name: format!("inline/{}", string(&got, "PolicyName")?),
                document: got["PolicyDocument"].clone(),
            });
        }
        Ok(policies)
    }

    async fn iam(&self, call: &str, params: Value) -> Result<Value> {
        self.call("iam", "us-east-1", call, params).await
    }
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    let found = value[key].as_array();
    found.with_context(|| format!("no list {key} in {value}"))
}

fn string<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    let found = value[key].as_str();
    found.with_context(|| format!("no {key} in {value}"))
}
