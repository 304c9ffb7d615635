//! A talk for calendars: POST {"title": "Opening", "start": "2026-05-04T09:00:00+02:00", "minutes": 45}

use axum::{
    Json, Router,
    extract::Request,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use serde::Deserialize;
use tower::ServiceExt;

#[derive(Deserialize)]
struct Talk {
    title: String,
    start: DateTime<FixedOffset>,
    minutes: u16,
    room: Option<String>,
}

/// Answers a request with the routes of this function.
pub async fn handle(request: Request) -> Response {
    let Ok(response) = Router::new().route("/", post(event)).oneshot(request).await;
    response
}

async fn event(Json(talk): Json<Talk>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/calendar; charset=utf-8")], talk.to_calendar())
}

impl Talk {
    fn to_calendar(&self) -> String {
        let start = self.start.with_timezone(&Utc);
        let end = start + TimeDelta::minutes(self.minutes.into());
        let mut lines = vec![
            "BEGIN:VCALENDAR".to_owned(),
            "VERSION:2.0".to_owned(),
            "PRODID:-//example.com//conference//EN".to_owned(),
            "BEGIN:VEVENT".to_owned(),
            format!("UID:{}@example.com", start.timestamp()),
            format!("DTSTAMP:{}", stamp(start)),
            format!("DTSTART:{}", stamp(start)),
            format!("DTEND:{}", stamp(end)),
            format!("SUMMARY:{}", escape(&self.title)),
        ];
        lines.extend(self.room.iter().map(|room| format!("LOCATION:{}", escape(room))));
        lines.extend(["END:VEVENT".to_owned(), "END:VCALENDAR".to_owned()]);
        lines.join("\r\n") + "\r\n"
    }
}

fn stamp(time: DateTime<Utc>) -> String {
    time.format("%Y%m%dT%H%M%SZ").to_string()
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace(';', r"\;").replace(',', r"\,").replace('\n', r"\n")
}
