use axum::{body::{Body, to_bytes}, extract::Request, response::Response};
use http::{StatusCode, method::Method};
use std::time::Duration;

pub async fn handler(req: Request<Body>) -> Response<Body> {
    if req.method() != Method::POST {
        return answer(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed".to_string());
    }
    let body = to_bytes(req.into_body(), usize::MAX).await.unwrap();
    let text = match String::from_utf8(body.to_vec()).unwrap().parse::<u64>() {
        Ok(n) => format!("{} {}", words::FACTORIAL, (1..=n).product::<u64>()),
        Err(e) => format!("Invalid number: {}", e),
    };
    // What clients of databases do: a task, a timer, and a connection that nobody answers.
    let task = tokio::spawn(async {
        tokio::time::timeout(Duration::from_secs(5), tokio::net::TcpStream::connect("127.0.0.1:9")).await
    });
    let refused = task.await.unwrap().unwrap().is_err();
    answer(StatusCode::OK, format!("{text}, refused: {refused}"))
}

fn answer(status: StatusCode, text: String) -> Response<Body> {
    Response::builder().status(status).header("Content-Type", "text/plain").body(Body::from(text)).unwrap()
}
