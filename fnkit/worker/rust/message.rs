//! The messages between the platform and the worker, in HTTP/1.1.

use std::io::{self, BufRead, ErrorKind};

use http::{response, HeaderName, HeaderValue, Request};

const NONCE_HEADER: &str = "fnkit-request";
/// What the core runtime of the real platform answers when a handler panics.
const PANIC_BODY: &[u8] = b"Post \"http://127.0.0.1:8081/\": EOF";
/// Headers that concern one connection only; the platform decides on them.
const CONNECTION_HEADERS: [&str; 8] = [
    "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
];

/// A request of the platform, whose body is the request for the handler.
pub struct Envelope {
    pub nonce: String,
    pub body: Vec<u8>,
}

fn malformed(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text)
}

/// Returns the next request; `None` if the platform has closed the socket.
pub fn read_envelope(reader: &mut impl BufRead) -> io::Result<Option<Envelope>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let (mut nonce, mut length) = (String::new(), None);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        match text.split_once(':') {
            Some((NONCE_HEADER, value)) => nonce = value.trim().to_owned(),
            Some(("content-length", value)) => length = value.trim().parse().ok(),
            _ => {}
        }
    }
    let length = length.ok_or_else(|| malformed("a request of the platform has no content-length"))?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Envelope { nonce, body }))
}

/// Returns the request in a message. Everything after the blank line is its body.
pub fn parse_request(message: &[u8]) -> io::Result<Request<Vec<u8>>> {
    let mut rest = message;
    let line = next_line(&mut rest)?;
    let line = std::str::from_utf8(line).map_err(|_| malformed("malformed request line of the platform"))?;
    let mut parts = line.split(' ');
    let (Some(method), Some(target)) = (parts.next(), parts.next()) else {
        return Err(malformed("malformed request line of the platform"));
    };
    let mut request = Request::builder().method(method).uri(target);
    loop {
        let line = next_line(&mut rest)?;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| malformed("malformed header"))?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(io::Error::other)?;
        let value = &line[colon + 1..];
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let value = HeaderValue::from_bytes(value).map_err(io::Error::other)?;
        request = request.header(name, value);
    }
    request.body(rest.to_vec()).map_err(io::Error::other)
}

fn next_line<'a>(rest: &mut &'a [u8]) -> io::Result<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n').ok_or(ErrorKind::UnexpectedEof)?;
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    Ok(line.strip_suffix(b"\r").unwrap_or(line))
}

/// Returns the response for the platform. No Content-Type is added: the platform detects it.
pub fn encode_response(head: &response::Parts, body: &[u8], nonce: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in &head.headers {
        let name = name.as_str();
        if CONNECTION_HEADERS.contains(&name) || name.starts_with("fnkit-") {
            continue;
        }
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }
    encode(head.status.as_u16(), &lines, body, nonce)
}

/// Returns the response for a handler that panicked.
pub fn encode_panic(nonce: &str) -> Vec<u8> {
    encode(500, b"fnkit-handler-panicked: 1\r\n", PANIC_BODY, nonce)
}

fn encode(status: u16, lines: &[u8], body: &[u8], nonce: &str) -> Vec<u8> {
    let mut message = format!("HTTP/1.1 {status} \r\n").into_bytes();
    message.extend_from_slice(lines);
    let end = format!("content-length: {}\r\n{NONCE_HEADER}: {nonce}\r\n\r\n", body.len());
    message.extend_from_slice(end.as_bytes());
    message.extend_from_slice(body);
    message
}
