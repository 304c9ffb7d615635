//! A handler that does what a request asks it to: see tests/support/hostile_languages.py.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{exit, Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{body::Body, extract::Request, response::Response};
use serde_json::{json, Value};

static CALLS: AtomicUsize = AtomicUsize::new(0);

extern "C" {
    fn kill(process: i32, signal: i32) -> i32;
}

fn read(path: &str) -> io::Result<Value> {
    let mut content = Vec::new();
    File::open(path)?.take(65536).read_to_end(&mut content)?;
    Ok(json!(content.iter().map(|&byte| byte as char).collect::<String>()))
}

fn list(path: &str) -> io::Result<Value> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(json!(names))
}

fn links() -> io::Result<Value> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        if let Ok(target) = fs::read_link(entry.path()) {
            found.push(format!("{} {}", entry.file_name().to_string_lossy(), target.display()));
        }
    }
    Ok(json!(found.into_iter().filter(|link| !link.ends_with("/fd")).collect::<Vec<_>>()))
}

fn descriptors(count: usize) -> usize {
    let mut opened = Vec::new();
    while opened.len() < count {
        match File::open("/dev/null") {
            Ok(file) => opened.push(file),
            Err(_) => break,
        }
    }
    opened.len()
}

fn processes(count: usize) -> usize {
    let mut started: Vec<Child> = Vec::new();
    while started.len() < count {
        match Command::new("sleep").arg("300").spawn() {
            Ok(child) => started.push(child),
            Err(_) => break,
        }
    }
    for child in &mut started {
        let _ = child.kill();
        let _ = child.wait();
    }
    started.len()
}

fn fill(path: &str, size: usize) -> io::Result<Value> {
    let mut file = File::create(path)?;
    let block = vec![b'x'; 1 << 20];
    for written in 0..size {
        if file.write_all(&block).is_err() {
            return Ok(json!(written));
        }
    }
    Ok(json!(size))
}

fn allocate() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![b'x'; 1 << 20]));
    }
}

fn shell(command: &str) -> io::Result<Value> {
    let done = Command::new("sh").arg("-c").arg(command).stdin(Stdio::null()).output()?;
    Ok(json!(String::from_utf8_lossy(&done.stdout)))
}

fn crash() -> ! {
    unsafe { std::ptr::write_volatile(0x1000_0000 as *mut u8, 1) };
    unreachable!()
}

fn act(action: &str, path: &str, count: usize) -> io::Result<Value> {
    match action {
        "read" => read(path),
        "list" => list(path),
        "write" => fs::write(path, "x").map(|()| Value::Null),
        "make" => fs::create_dir(path).map(|()| Value::Null),
        "remove" => fs::remove_file(path).map(|()| Value::Null),
        "rename" => fs::rename(path, format!("{path}.renamed")).map(|()| Value::Null),
        "connect" => UnixStream::connect(path).map(|_| Value::Null),
        "kill" if unsafe { kill(count as i32, 0) } == 0 => Ok(Value::Null),
        "kill" => Err(io::Error::last_os_error()),
        "environment" => Ok(json!(std::env::vars().collect::<BTreeMap<_, _>>())),
        "links" => links(),
        "shell" => shell(path),
        "descriptors" => Ok(json!(descriptors(count))),
        "processes" => Ok(json!(processes(count))),
        "fill" => fill(path, count),
        "stack" => Ok(json!(std::backtrace::Backtrace::force_capture().to_string())),
        "hour" => shell("date -d @0 +%-H").map(|text| json!(text.as_str().unwrap().trim().parse::<u8>().unwrap())),
        "exit" => exit(3),
        "crash" => crash(),
        "count" => Ok(json!(CALLS.fetch_add(1, Ordering::Relaxed) + 1)),
        "allocate" => allocate(),
        "print" => loop {
            println!("{}", "x".repeat(60));
        },
        "loop" => loop {
            std::hint::spin_loop();
        },
        "line" => {
            println!("line of {path}");
            Ok(Value::Null)
        }
        _ => Err(io::Error::other("no such action")),
    }
}

/// Returns a value of the query, as it was sent.
fn parameter<'a>(query: &'a str, name: &str) -> &'a str {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(if byte == b'+' { b' ' } else { byte });
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Answers with `{"ok": value}` or `{"error": text}`.
pub async fn handle(request: Request<Body>) -> Response<Body> {
    let query = request.uri().query().unwrap_or("").to_owned();
    let action = request.uri().path().trim_start_matches('/').to_owned();
    let count = parameter(&query, "count").parse().unwrap_or(0);
    match action.as_str() {
        "fail" => panic!("asked to fail"),
        "huge" => return Response::new(Body::from(vec![b'x'; count << 20])),
        _ => {}
    }
    let answer = match act(&action, &unescape(parameter(&query, "path")), count) {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    Response::new(Body::from(answer.to_string()))
}
