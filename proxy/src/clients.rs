//! Who comes in, and who answers them.

use std::sync::Arc;

use credpin_wire::Ends;
use credpin_wire::server::{Answering, Client, Entering, Host};
use http::Request;
use hyper::body::Incoming;

use crate::connection::Connection;
use crate::service::Service;
use crate::shares::Share;

/// A client that was let in, and the place that it has.
struct Guest {
    service: Arc<Service>,
    connection: Arc<Connection>,
    _share: Share,
}

impl Host for Service {
    fn enter(self: Arc<Self>, ends: Ends) -> Entering {
        Box::pin(async move {
            let connection = Connection::new(ends);
            let share = self.gate.enter(&connection).await?;
            let guest: Arc<dyn Client> = Arc::new(Guest {
                service: self,
                connection: Arc::new(connection),
                _share: share,
            });
            Some(guest)
        })
    }
}

impl Client for Guest {
    fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answering {
        let taken = self.service.take(request, &self.connection);
        let (service, connection) = (Arc::clone(&self.service), Arc::clone(&self.connection));
        Box::pin(service.answer(taken, connection))
    }
}
