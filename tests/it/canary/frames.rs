//! Requests that are none, on both ports.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use prost::Message;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{
    CARD, HASTY, ID_NUMBER, NAME, PHONE, Sink, Watch, finish, secret, start, verification,
};
use crate::{
    net::fixture::{Raw, grpc_frame},
    support::server::{Server, http},
};

const VERIFY: &str = "/bankcard.v1.BankCardService/VerifyBankCard";

pub async fn all(watch: &mut Watch) {
    let server = start(HASTY);
    messages(watch, &server).await;
    heads(watch, &server).await;
    health(watch, &server).await;
    bytes(watch, &server);
    pages(watch, &server);
    finish(watch, "server of malformed requests", server);
}

/// Sends one request on a connection of its own and looks at all that comes back.
async fn send(watch: &mut Watch, path: &str, server: &Server, request: Request<()>, body: Bytes) {
    let raw = Raw::connect(server.grpc).await;
    match raw.send(request, Some(body)).await {
        Ok(answer) => {
            let head = format!("{} {:?} {:?}", answer.http, answer.headers, answer.trailers);
            watch.see(path, Sink::Trailers, &head);
            watch.see(path, Sink::Reply, &String::from_utf8_lossy(&answer.body));
            for headers in [&answer.headers, &answer.trailers] {
                if let Some(status) = tonic::Status::from_header_map(headers) {
                    watch.status(path, &status);
                }
            }
        }
        Err(error) => watch.see(path, Sink::Reply, &error.to_string()),
    }
    raw.connection.abort();
}

fn post(path: &str) -> http::request::Builder {
    Request::post(format!("http://test{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

async fn messages(watch: &mut Watch, server: &Server) {
    let good = verification(CARD, 4).encode_to_vec();
    let text = format!("{CARD} {NAME} {ID_NUMBER} {PHONE}");
    let frame = grpc_frame(&good);
    let changed = |at: usize, to: u8| {
        let mut bytes = frame.to_vec();
        bytes[at] = to;
        Bytes::from(bytes)
    };
    // field 1 with the values of a card, as a number where a text is expected
    let number = [&[0x08, 0xff, 0xff, 0xff][..], text.as_bytes()].concat();
    let mut no_utf8 = good.clone();
    no_utf8[5] = 0xff;
    for (what, body) in [
        ("text for a message", grpc_frame(text.as_bytes())),
        ("a number for a text", grpc_frame(&number)),
        ("no UTF-8", grpc_frame(&no_utf8)),
        ("a message cut off", grpc_frame(&good[..good.len() - 3])),
        ("a frame cut off", frame.slice(..frame.len() - 3)),
        ("a frame that promises more", changed(4, 0xf0)),
        ("a huge frame", changed(1, 0xf0)),
        ("compressed and not", changed(0, 1)),
        ("a bad flag", changed(0, 77)),
        ("no frame", Bytes::from(text.clone())),
        (
            "two messages",
            Bytes::from([&frame[..], &frame[..]].concat()),
        ),
        (
            "too long a message",
            grpc_frame(text.repeat(2000).as_bytes()),
        ),
        ("too long a card", {
            let mut long = verification(CARD, 4);
            long.bank_card = CARD.repeat(5000);
            grpc_frame(&long.encode_to_vec())
        }),
        ("nothing", Bytes::new()),
    ] {
        let path = format!("a message that is {what}");
        send(watch, &path, server, post(VERIFY).body(()).unwrap(), body).await;
    }
    for encoding in ["gzip", "deflate", CARD] {
        let path = format!("an encoding of {} characters", encoding.len());
        let request = post(VERIFY)
            .header("grpc-encoding", encoding)
            .body(())
            .unwrap();
        send(watch, &path, server, request, changed(0, 1)).await;
    }
}

async fn heads(watch: &mut Watch, server: &Server) {
    let body = || grpc_frame(&verification(CARD, 4).encode_to_vec());
    let token = secret("ADMIN_TOKEN");
    for (what, path) in [
        (
            "an unknown method",
            format!("/bankcard.v1.BankCardService/{CARD}"),
        ),
        (
            "an unknown service",
            format!("/{PHONE}.Service/{ID_NUMBER}"),
        ),
        (
            "a query",
            format!("{VERIFY}?bank_card={CARD}&phone={PHONE}"),
        ),
        ("a path", format!("/{CARD}/{token}")),
    ] {
        send(watch, what, server, post(&path).body(()).unwrap(), body()).await;
    }
    for name in [
        "authorization",
        "grpc-timeout",
        "x-request-id",
        "user-agent",
        "traceparent",
        "baggage",
        "cookie",
        "grpc-accept-encoding",
    ] {
        for (what, value) in [("card", CARD), ("token", token), ("phone", PHONE)] {
            let request = post(VERIFY).header(name, value).body(()).unwrap();
            send(
                watch,
                &format!("a {what} in {name}"),
                server,
                request,
                body(),
            )
            .await;
        }
    }
    let other = Request::post(format!("http://{CARD}.example{VERIFY}"))
        .header("content-type", format!("application/{CARD}"))
        .body(())
        .unwrap();
    send(watch, "another content type", server, other, body()).await;
    let get = Request::get(format!("http://test{VERIFY}?{CARD}"))
        .body(())
        .unwrap();
    send(watch, "another method of HTTP", server, get, body()).await;
    let long = post(VERIFY)
        .header("x-much", CARD.repeat(2000))
        .body(())
        .unwrap();
    send(watch, "too many headers", server, long, body()).await;
}

async fn health(watch: &mut Watch, server: &Server) {
    for (port, address) in [("grpc", server.grpc), ("admin", server.admin)] {
        let channel = crate::net::fixture::channel(address).await;
        for (what, service) in [("card", CARD), ("name", NAME)] {
            let request = HealthCheckRequest {
                service: service.to_owned(),
            };
            let status = HealthClient::new(channel.clone())
                .check(request)
                .await
                .unwrap_err();
            watch.status(&format!("health of a {what} at the {port} port"), &status);
        }
    }
}

/// Bytes that are no HTTP/2, and HTTP/2 that breaks its rules.
fn bytes(watch: &mut Watch, server: &Server) {
    const HELLO: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let text = format!("{CARD} {NAME} {ID_NUMBER} {PHONE}\r\n\r\n");
    let settings = "\0\0\0\x04\0\0\0\0\0";
    for (what, sent) in [
        ("text", text.clone()),
        (
            "HTTP/1.1",
            format!("POST {VERIFY}?{CARD} HTTP/1.1\r\nhost: {PHONE}\r\n\r\n{text}"),
        ),
        ("half a hello", format!("PRI * HTTP/2.0\r\n\r\n{text}")),
        ("a hello and text", format!("{HELLO}{text}")),
        ("settings and text", format!("{HELLO}{settings}{text}")),
        (
            "headers of text",
            format!("{HELLO}{settings}\0\0\x20\x01\x05\0\0\0\x01{text}"),
        ),
        (
            "data without headers",
            format!("{HELLO}{settings}\0\0\x10\0\x01\0\0\0\x01{text}"),
        ),
        (
            "a frame of no kind",
            format!("{HELLO}{settings}\0\0\x10\x7f\0\0\0\0\x01{text}"),
        ),
        (
            "a farewell with text",
            format!("{HELLO}{settings}\0\0\x20\x07\0\0\0\0\0{text}"),
        ),
    ] {
        for (port, address) in [("grpc", server.grpc), ("admin", server.admin)] {
            let path = format!("bytes at the {port} port: {what}");
            watch.see(&path, Sink::Reply, &exchange(address, sent.as_bytes()));
        }
    }
}

fn exchange(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(150)))
        .unwrap();
    // whoever hangs up at once has said enough
    let _ = stream.write_all(sent);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    String::from_utf8_lossy(&heard).into_owned()
}

fn pages(watch: &mut Watch, server: &Server) {
    let token = secret("ADMIN_TOKEN");
    for (what, head) in [
        ("an unknown page", format!("GET /{CARD} HTTP/1.1\r\n")),
        (
            "a query",
            format!("GET /status?card={CARD}&phone={PHONE} HTTP/1.1\r\n"),
        ),
        (
            "a header",
            format!("GET /status HTTP/1.1\r\nx-card: {CARD}\r\n"),
        ),
        (
            "a token",
            format!("GET /status HTTP/1.1\r\nauthorization: Bearer {token}\r\n"),
        ),
        ("a post", "POST /status HTTP/1.1\r\n".to_owned()),
        (
            "a guarded call",
            format!("POST /guard/reset HTTP/1.1\r\nauthorization: Bearer {token}\r\n"),
        ),
        ("no method", format!("{CARD} / HTTP/1.1\r\n")),
        ("no version", format!("GET / {PHONE}\r\n")),
        (
            "a header that is none",
            format!("GET / HTTP/1.1\r\n{CARD}\r\n"),
        ),
    ] {
        let body = format!("{{\"bank_card\": \"{CARD}\", \"name\": \"{NAME}\"}}");
        let page = http(server.admin, &head, &body);
        let shown = page.map(|page| page.all).unwrap_or_default();
        watch.see(&format!("admin port: {what}"), Sink::AdminPage, &shown);
    }
}
