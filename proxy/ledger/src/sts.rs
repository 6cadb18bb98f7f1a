//! Under which name this host may write: its `aws:userid`, which only STS tells.

use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody};

use crate::client::Connector;
use crate::s3::{dns_suffix, options};
use crate::store::Naming;
use crate::store_answer::code_of;
use crate::{Bucket, Credentials, Endpoint, Sts, UserId, WhoError};

/// Asks STS.
#[derive(Debug)]
pub(crate) struct Who {
    client: HttpClient,
    sts: String,
    region: String,
    credentials: Credentials,
    /// The last answer, and the access key id that it was about: a host's role can be exchanged.
    known: Mutex<Option<(String, UserId)>>,
}

impl Who {
    /// Sends nothing. `region` is the host's; nothing where the URL says so.
    pub(crate) fn new(
        bucket: &Bucket,
        region: &str,
        credentials: &Credentials,
    ) -> object_store::Result<Option<Self>> {
        let (sts, region, endpoint) = match &bucket.sts {
            Sts::Off => return Ok(None),
            Sts::Aws => {
                let sts = format!("https://sts.{region}.{}", dns_suffix(region));
                (sts, region, None)
            }
            Sts::At(endpoint) => {
                let region = region_in(endpoint).unwrap_or(region);
                (endpoint.as_str().to_owned(), region, Some(endpoint))
            }
        };
        Ok(Some(Self {
            client: Connector.connect(&options(endpoint))?,
            sts,
            region: region.to_owned(),
            credentials: credentials.clone(),
            known: Mutex::default(),
        }))
    }

    /// `aws:userid` of the credentials that this host has now.
    async fn current(&self) -> Result<UserId, WhoError> {
        let credential = self
            .credentials
            .ask()
            .await
            .map_err(WhoError::Credentials)?;
        // No panic can leave it half changed, so a poisoned lock is as good as any.
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((key_id, user)) = &*known()
            && *key_id == credential.key_id
        {
            return Ok(user.clone());
        }
        let user = self.ask(&credential).await?;
        *known() = Some((credential.key_id, user.clone()));
        Ok(user)
    }

    /// STS API Reference, `GetCallerIdentity`: needs no permission, and no policy can deny it.
    async fn ask(&self, credential: &AwsCredential) -> Result<UserId, WhoError> {
        let sts = || self.sts.clone();
        let failed = |source| WhoError::Unreachable { sts: sts(), source };
        let body = "Action=GetCallerIdentity&Version=2011-06-15".to_owned();
        let mut request = http::Request::post(format!("{}/", self.sts))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(HttpRequestBody::from(body))
            .map_err(|error| failed(error.into()))?;
        AwsAuthorizer::new(credential, "sts", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| failed(error.into()))?;
        let answered = async {
            let response = self.client.execute(request).await?;
            let status = response.status();
            Ok::<_, object_store::client::HttpError>((status, response.into_body().bytes().await?))
        };
        let (status, body) = answered.await.map_err(|error| failed(error.into()))?;
        let text = String::from_utf8_lossy(&body);
        if !status.is_success() {
            return Err(WhoError::Refused {
                sts: sts(),
                status: status.as_u16(),
                code: code_of(&text).unwrap_or_default().to_owned(),
            });
        }
        match user_id(&text) {
            Some(user @ UserId::Session { .. }) => Ok(user),
            _ => Err(WhoError::NotAnInstance { sts: sts() }),
        }
    }
}

impl Naming for Who {
    fn user(&self) -> BoxFuture<'_, Result<UserId, WhoError>> {
        Box::pin(self.current())
    }
}

fn user_id(body: &str) -> Option<UserId> {
    let (_, rest) = body.split_once("<UserId>")?;
    let (user, _) = rest.split_once("</UserId>")?;
    user.parse().ok()
}

/// The region that an endpoint of STS is of and that requests to it are signed for, where its name tells
/// it: `sts.eu-west-1.amazonaws.com`, `vpce-….sts.eu-west-1.vpce.amazonaws.com`.
fn region_in(sts: &Endpoint) -> Option<&str> {
    let mut labels = sts.as_str().split(['/', '.', ':']);
    labels.find(|label| label.starts_with("sts"))?;
    match labels.next()? {
        "amazonaws" => Some("us-east-1"),
        region if region.contains('-') => Some(region),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_of_sts_tells_its_region_where_its_name_does() {
        for (sts, region) in [
            ("https://sts.eu-west-1.amazonaws.com", Some("eu-west-1")),
            (
                "https://sts.cn-north-1.amazonaws.com.cn",
                Some("cn-north-1"),
            ),
            (
                "https://sts-fips.us-gov-west-1.amazonaws.com",
                Some("us-gov-west-1"),
            ),
            ("https://sts.amazonaws.com", Some("us-east-1")),
            (
                "https://vpce-0abc-1.sts.eu-west-1.vpce.amazonaws.com:443",
                Some("eu-west-1"),
            ),
            ("https://sts.example", None),
            ("http://127.0.0.1:5000", None),
        ] {
            assert_eq!(region_in(&sts.parse().unwrap()), region, "{sts}");
        }
    }
}
