//! The binary from outside: what it prints, serves, refuses, and how it ends.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Output,
};

use crate::server::{ANY_PORT, Server, tenfour};

fn get(server: &Server, path: &str) -> String {
    get_with(server, path, "")
}

/// With more lines for the request's head, each with its end.
fn get_with(server: &Server, path: &str, headers: &str) -> String {
    let address = server.address;
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn run(arguments: &[&str]) -> Output {
    tenfour(arguments).output().expect("the binary runs")
}

#[test]
fn every_file_of_the_page_is_served_under_the_policy() {
    let server = Server::start(&["serve", "--listen", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
    for (path, content_type, word) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/app.js", "text/javascript; charset=utf-8", "import"),
        ("/client.js", "text/javascript; charset=utf-8", "class Connection"),
        ("/tenfour.js", "text/javascript; charset=utf-8", "export function reliable("),
        ("/tenfour.d.ts", "application/typescript; charset=utf-8", "export function reliable<"),
        ("/timeline.js", "text/javascript; charset=utf-8", "class Timeline"),
        ("/style.css", "text/css; charset=utf-8", "prefers-color-scheme: dark"),
        ("/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = get(&server, path);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        for header in [
            &format!("content-type: {content_type}"),
            "content-security-policy: default-src 'self';",
            "x-content-type-options: nosniff",
            "cache-control: no-cache",
        ] {
            assert!(head.contains(header), "{path} has no {header}: {head}");
        }
        assert!(body.contains(word), "{path}");
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
        let again = get_with(&server, path, &format!("if-none-match: \"other\", W/{tag}\r\n"));
        assert!(again.starts_with("HTTP/1.1 304 ") && again.contains(tag), "{path}: {again}");
        let other = get_with(&server, path, "if-none-match: \"other\"\r\n");
        assert!(other.starts_with("HTTP/1.1 200 "), "{path}: {other}");
    }
    assert!(get(&server, "/nowhere").starts_with("HTTP/1.1 404 "));
}

#[test]
fn the_page_has_no_inline_code_and_loads_nothing_from_elsewhere() {
    let server = Server::start(&ANY_PORT);
    let page = get(&server, "/");
    for forbidden in ["<style", "style=", "onclick", "onload", "://", "src=\"//"] {
        assert!(!page.contains(forbidden), "the page contains {forbidden}");
    }
    assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=\"/").count());
}

#[test]
fn an_address_in_use_is_a_clear_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = run(&["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "it must not say that it is ready");
    let message = String::from_utf8(output.stderr).expect("text");
    for part in [&address, "in use", "--listen"] {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

#[test]
fn an_address_that_is_none_is_a_clear_error() {
    let output = run(&["--listen", "3000"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("such as 127.0.0.1:3000"));
}

#[test]
fn an_unknown_option_is_the_command_lines_error() {
    assert_eq!(run(&["--no-such-option"]).status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn both_signals_end_it_in_order() {
    for signal in ["-INT", "-TERM"] {
        let mut server = Server::start(&ANY_PORT);
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{signal}");
        assert_eq!(server.rest_of_stdout(), "", "the ready lines are all of standard output");
        assert!(TcpStream::connect(server.address).is_err(), "it no longer listens");
    }
}
