//! AWS credentials, as tests pass them from hand to hand.

use credpin_mock_imds::Issued;
use serde::{Deserialize, Serialize};

/// An access key, its secret and, for temporary ones, the session's token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `ASIA…` for temporary ones.
    pub access_key_id: String,
    /// What requests are signed with.
    pub secret_access_key: String,
    /// What temporary ones send along.
    pub token: Option<String>,
}

impl Credentials {
    /// Those that moto takes: any.
    pub fn of_moto() -> Self {
        Self {
            access_key_id: "testing".into(),
            secret_access_key: "testing".into(),
            token: None,
        }
    }
}

impl From<&Issued> for Credentials {
    fn from(issued: &Issued) -> Self {
        Self {
            access_key_id: issued.access_key_id.clone(),
            secret_access_key: issued.secret_access_key.clone(),
            token: Some(issued.token.clone()),
        }
    }
}

/// Secrets stay out of what a failed assertion prints.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}
