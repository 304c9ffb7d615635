//! An EAN-13 barcode as SVG: GET /?digits=401234567890

use axum::{body::Body, extract::Request, http::StatusCode, response::Response};

const LEFT: [&str; 10] = [
    "0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011",
];
const PARITY: [&str; 10] = [
    "LLLLLL", "LLGLGG", "LLGGLG", "LLGGGL", "LGLLGG", "LGGLLG", "LGGGLL", "LGLGLG", "LGLGGL", "LGGLGL",
];

/// Draws the twelve digits of the query, and the check digit that follows from them.
pub async fn draw(request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let digits: Option<Vec<usize>> = query.strip_prefix("digits=").and_then(|text| {
        text.chars().map(|one| one.to_digit(10).map(|digit| digit as usize)).collect()
    });
    match digits {
        Some(digits) if digits.len() == 12 => respond(StatusCode::OK, "image/svg+xml", svg(&bars(&digits))),
        _ => respond(StatusCode::UNPROCESSABLE_ENTITY, "text/plain", "expected digits=, and twelve digits\n".into()),
    }
}

fn respond(status: StatusCode, content_type: &str, body: String) -> Response {
    Response::builder().status(status).header("Content-Type", content_type).body(Body::from(body)).unwrap()
}

fn bars(digits: &[usize]) -> String {
    let sum: usize = digits.iter().enumerate().map(|(place, digit)| digit * (1 + place % 2 * 2)).sum();
    let check = (10 - sum % 10) % 10;
    let left = digits[1..7].iter().zip(PARITY[digits[0]].chars()).map(|(digit, parity)| match parity {
        'L' => LEFT[*digit].to_string(),
        _ => inverted(LEFT[*digit]).chars().rev().collect(),
    });
    let right = digits[7..].iter().chain([&check]).map(|digit| inverted(LEFT[*digit]));
    format!("101{}01010{}101", left.collect::<String>(), right.collect::<String>())
}

fn inverted(pattern: &str) -> String {
    pattern.chars().map(|bar| if bar == '0' { '1' } else { '0' }).collect()
}

fn svg(bars: &str) -> String {
    let lines: String = bars.char_indices().filter(|(_, bar)| *bar == '1').map(|(x, _)| format!("M{x} 0v40h1v-40z")).collect();
    format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="-9 -5 113 50"><path d="{lines}"/></svg>"#)
}
