//! One HTTP request on a connection of its own, to a loopback address.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Sends `request` to `to` and reads the whole answer.
pub(crate) async fn exchange(
    to: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>> {
    ensure!(to.ip().is_loopback(), "{to} is not loopback");
    let stream = TcpStream::connect(to)
        .await
        .with_context(|| format!("cannot connect to {to}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let talk = async {
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        // The connection ends with its last sender.
        drop(sender);
        anyhow::Ok(Response::from_parts(head, body))
    };
    let (answer, _) = tokio::join!(talk, connection);
    answer.with_context(|| format!("no whole answer from {to}"))
}
