use axum::{body::Body, extract::FromRequest, extract::Multipart, extract::Request, response::Response};
use http::StatusCode;

pub async fn handler_with_cors(req: Request<Body>) -> Response<Body> {
    println!("{:?}", req);
    if req.method() == http::Method::OPTIONS {
        return answer(StatusCode::OK, "preflight".to_string());
    }
    let (parts, body) = req.into_parts();
    let request = Request::from_parts(parts, Body::new(body));
    match Multipart::from_request(request, &()).await {
        Ok(multipart) => list(multipart).await,
        Err(error) => answer(StatusCode::BAD_REQUEST, format!("no form: {error}")),
    }
}

async fn list(mut multipart: Multipart) -> Response<Body> {
    let mut found = vec![];
    while let Some(field) = multipart.next_field().await.unwrap() {
        let name = field.file_name().unwrap_or_default().to_string();
        found.push(format!("{name} has {} bytes", field.bytes().await.unwrap().len()));
    }
    answer(StatusCode::OK, found.join(", "))
}

fn answer(status: StatusCode, text: String) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("Content-Type", "text/plain")
        .header("Access-Control-Allow-Methods", "*")
        .body(Body::from(text))
        .unwrap()
}
