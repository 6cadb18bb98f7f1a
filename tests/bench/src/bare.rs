//! The least that passing a request on costs with hyper on both sides: a server and a client of it, and
//! nothing between them. It is what our own figure is to be held against besides other programs.

use std::cell::RefCell;
use std::net::SocketAddr;

use anyhow::Result;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, client, server};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// Serves on `at`, with one thread, until the process is ended.
pub fn run(at: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(at).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::task::spawn_local(async move {
                // Whoever loses an answer by it says so.
                connection(stream, upstream).await.ok();
            });
        }
    })
}

/// One connection upstream for each of a client, both driven by one task.
async fn connection(stream: TcpStream, upstream: SocketAddr) -> Result<()> {
    stream.set_nodelay(true)?;
    let onward = TcpStream::connect(upstream).await?;
    onward.set_nodelay(true)?;
    let (sender, onward) = client::conn::http1::Builder::new()
        .handshake::<_, Incoming>(TokioIo::new(onward))
        .await?;
    let sender = RefCell::new(sender);
    let pass = |request: Request<Incoming>| sender.borrow_mut().send_request(request);
    let served = server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(pass));
    tokio::select! {
        biased;
        served = served => served?,
        ended = onward => ended?,
    }
    Ok(())
}
