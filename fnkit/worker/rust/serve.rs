//! Serves one function inside the function's own process.
//!
//! The platform connects it by a stream socket, whose descriptor `FNKIT_WORKER_FD` names, and sends one request at a
//! time. It depends on the types of `http` alone, not on a version of axum: the handler's own types are inferred.

use std::backtrace::Backtrace;
use std::future::Future;
use std::io::{self, BufReader, Write};
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::process;

use http::response::Parts;
use http::{Request, Response};
use http_body_util::BodyExt;

use crate::message;

const DESCRIPTOR_VARIABLE: &str = "FNKIT_WORKER_FD";

/// A response with its whole body, once the handler has returned it.
type Answer = Pin<Box<dyn Future<Output = (Parts, Vec<u8>)>>>;

/// Calls the handler for each request, until the platform closes the socket.
///
/// Only what is in here depends on the handler's types, and is compiled again when the handler changes.
pub fn serve<H, F, B, R>(handler: H)
where
    H: Fn(Request<B>) -> F + 'static,
    F: Future<Output = Response<R>> + 'static,
    B: From<Vec<u8>>,
    R: BodyExt,
    R::Error: std::fmt::Debug,
{
    let answer = |request: Request<Vec<u8>>| -> Answer {
        let answered = handler(request.map(B::from));
        Box::pin(async move {
            let (head, body) = answered.await.into_parts();
            let content = body.collect().await.expect("the body of the response failed");
            (head, content.to_bytes().into())
        })
    };
    if let Err(error) = run(&answer) {
        eprintln!("fnkit: {error}");
        process::exit(1);
    }
}

fn run(answer: &dyn Fn(Request<Vec<u8>>) -> Answer) -> io::Result<()> {
    let mut socket = open_socket()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    panic::set_hook(Box::new(|info| eprintln!("{info}\n{}", Backtrace::force_capture())));
    socket.write_all(b"{\"ready\": true}\n")?;
    let mut reader = BufReader::new(socket.try_clone()?);
    while let Some(envelope) = message::read_envelope(&mut reader)? {
        let request = message::parse_request(&envelope.body)?;
        let answered = panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(async { answer(request).await })));
        let encoded = match answered {
            Ok((head, body)) => message::encode_response(&head, &body, &envelope.nonce),
            Err(_) => message::encode_panic(&envelope.nonce),
        };
        socket.write_all(&encoded)?;
    }
    // Tasks that the handler has left behind must not keep the process alive.
    process::exit(0);
}

/// Returns the socket under a descriptor that the handler's child processes do not inherit.
fn open_socket() -> io::Result<UnixStream> {
    let named = std::env::var(DESCRIPTOR_VARIABLE).ok().and_then(|value| value.parse().ok());
    std::env::remove_var(DESCRIPTOR_VARIABLE);
    let descriptor = named.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "FNKIT_WORKER_FD names no descriptor: the platform starts this program")
    })?;
    // SAFETY: the platform opened the descriptor for this program alone.
    let inherited = unsafe { UnixStream::from_raw_fd(descriptor) };
    inherited.try_clone()
}
