//! Clients that stop in the middle: a body that does not go on, and an answer that nobody reads, end their connection, so
//! that they hold none of the few places for others. Not the time that an answer takes to be made, which may be long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::stream::{StreamExt, unfold};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Sleep, sleep, timeout};

/// How long a client may leave a transfer where it is.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A body of which nothing comes for [`PATIENCE`] is refused as one that cannot be read.
pub(super) async fn of_bodies(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let parts = unfold(body.into_data_stream(), |mut parts| async {
        let part = match timeout(PATIENCE, parts.next()).await {
            Ok(part) => part?.map_err(io::Error::other),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        Some((part, parts))
    });
    next.run(Request::from_parts(head, Body::from_stream(parts))).await
}

/// A connection that breaks when its client takes nothing for [`PATIENCE`].
pub(super) struct Patient {
    stream: UnixStream,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    pub(super) fn new(stream: UnixStream) -> Patient {
        Patient { stream, stalled: None }
    }

    /// Turns waiting that lasts too long into a failure.
    fn bounded<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let sleep = self.stalled.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        ready!(sleep.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Bytes;
    use axum::middleware::from_fn;
    use axum::routing::{get, post};
    use hyper::server::conn::http1;
    use hyper_util::rt::{TokioIo, TokioTimer};
    use hyper_util::service::TowerToHyperService;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;

    /// A client's end, and the connection that it is served by.
    fn served() -> (UnixStream, JoinHandle<hyper::Result<()>>) {
        let router = Router::new()
            .route("/much", get(async || vec![b'x'; 16 << 20]))
            .route("/body", post(async |body: Bytes| body))
            .layer(from_fn(of_bodies));
        let (client, server) = UnixStream::pair().unwrap();
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(Patient::new(server)), TowerToHyperService::new(router));
        (client, tokio::spawn(serving))
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_ends_its_connection() {
        let (mut client, serving) = served();
        let began = Instant::now();
        client.write_all(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(serving.await.unwrap().is_err());
        assert!(began.elapsed() >= PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_go_on_is_refused() {
        let (mut client, serving) = served();
        client.write_all(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").await.unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 4"), "{said}");
        drop(serving.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_on_is_waited_for() {
        let (mut client, serving) = served();
        client
            .write_all(b"POST /body HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\n")
            .await
            .unwrap();
        for byte in b"abcd" {
            tokio::time::sleep(PATIENCE * 2 / 3).await;
            client.write_all(&[*byte]).await.unwrap();
        }
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert!(said.ends_with("abcd"), "{said}");
        serving.await.unwrap().unwrap();
    }
}
