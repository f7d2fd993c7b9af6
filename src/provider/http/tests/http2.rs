//! HTTP/2 is spoken over TLS only; here it is spoken without, to script the frames.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn client(address: SocketAddr) -> HttpClient {
    let endpoint = endpoint("http", address);
    HttpClient::build(
        &name(),
        &endpoint,
        &settings(),
        ClientBuilder::http2_prior_knowledge,
    )
    .unwrap()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Script {
    Answer,
    RefuseStream,
    GracefulGoaway,
    /// The same, and it says that it has processed nothing.
    GoawayDenyingAll,
    Hang,
}

/// Plays `script` for every request and tells how many there were.
async fn serve(script: Script) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let counted = Arc::clone(&counted);
            if script == Script::GoawayDenyingAll {
                tokio::spawn(deny_all(stream, counted));
                continue;
            }
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let mut held = Vec::new();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    counted.fetch_add(1, Ordering::SeqCst);
                    assert_eq!(
                        request.uri().authority().unwrap().as_str(),
                        address.to_string()
                    );
                    match script {
                        Script::Answer => {
                            let reply = Response::builder().status(StatusCode::OK);
                            let mut body = respond
                                .send_response(reply.body(()).unwrap(), false)
                                .unwrap();
                            body.send_data("{}".into(), true).unwrap();
                        }
                        Script::RefuseStream => respond.send_reset(h2::Reason::REFUSED_STREAM),
                        Script::GracefulGoaway => connection.abrupt_shutdown(h2::Reason::NO_ERROR),
                        Script::Hang | Script::GoawayDenyingAll => held.push(respond),
                    }
                }
            });
        }
    });
    (address, requests)
}

/// Reads a request and says GOAWAY without an error, with 0 as the last stream that was processed.
/// Written by hand, since no server that keeps to the protocol denies what it has read.
async fn deny_all(mut stream: TcpStream, requests: Arc<AtomicUsize>) {
    const HEADERS: u8 = 1;
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    stream.write_all(&SETTINGS).await.unwrap();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut rest = vec![0; length as usize];
        stream.read_exact(&mut rest).await.unwrap();
        if head[3] == HEADERS {
            requests.fetch_add(1, Ordering::SeqCst);
            stream.write_all(&GOAWAY).await.unwrap();
        }
    }
}

#[rstest]
#[case(Script::RefuseStream, "")]
#[case(Script::RefuseStream, "{}")]
#[case(Script::GracefulGoaway, "")]
#[case(Script::GracefulGoaway, "{}")]
#[case(Script::GoawayDenyingAll, "")]
#[case(Script::GoawayDenyingAll, "{}")]
#[case(Script::Hang, "")]
#[case(Script::Hang, "{}")]
#[tokio::test]
async fn what_was_sent_stays_unknown_and_is_never_sent_again(
    #[case] script: Script,
    #[case] body: &str,
) {
    let (address, requests) = serve(script).await;
    let outcome = client(address).post(call("/?a=b", body), SOON).await;
    assert_eq!(kind(outcome), ProviderErrorKind::OutcomeUnknown);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

/// Our own bodies cannot be copied, so nothing could send them again. Whoever makes them otherwise
/// still has a client that does not try.
#[rstest]
#[case(Script::RefuseStream)]
#[case(Script::GoawayDenyingAll)]
#[tokio::test]
async fn the_client_underneath_does_not_send_again_what_it_could(#[case] script: Script) {
    let (address, requests) = serve(script).await;
    let HttpClient { client, base, .. } = client(address);
    let outcome = client.post(base).body("{}").send().await;
    assert!(outcome.is_err());
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    let (address, requests) = serve(Script::Answer).await;
    let client = client(address);
    for body in ["", "{}", ""] {
        let reply = client.post(call("/?a=b", body), SOON).await.unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"{}"[..]));
    }
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}
