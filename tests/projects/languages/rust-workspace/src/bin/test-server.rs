use axum::{Router, routing::any};

#[tokio::main]
async fn main() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await.unwrap();
    axum::serve(listener, Router::new().fallback(any(function::handler))).await.unwrap();
}
