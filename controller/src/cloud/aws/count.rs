//! How often AWS was asked what.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_iam::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::BoxError,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;

use crate::cloud::Calls;

/// Counts every request right before it leaves, retries too, by the name of the call.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter(Arc<Mutex<Calls>>);

impl Counter {
    pub(super) fn calls(&self) -> Calls {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Intercept for Counter {
    fn name(&self) -> &'static str {
        "credpin counter"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let call = config.load::<Metadata>().map_or("unknown", Metadata::name);
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry(call.to_owned()).or_default() += 1;
        Ok(())
    }
}
