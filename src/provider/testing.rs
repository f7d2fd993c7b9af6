//! What the tests of vendor clients share.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use jiff::civil::date;
use proptest::{prelude::*, sample::Index};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use zeroize::Zeroizing;

use super::{CallContext, http::HttpReply};
use crate::{
    config::providers::{Endpoint, VendorSettings},
    domain::{
        CardNumber, Factors, Identity, IdentityType, PersonName, Phone, Verification,
        question::Proof,
    },
};

pub(crate) const CARD: &str = "6222020000000000000";
pub(crate) const NAME: &str = "张三";
pub(crate) const ID_NUMBER: &str = "11010519491231002X";
pub(crate) const PHONE: &str = "13800138000";

pub(crate) const CONTEXT: CallContext = CallContext {
    timeout: Duration::from_secs(2),
    attempt: 1,
};

/// A question with the test person's data.
pub(crate) fn question(factors: Factors) -> Verification {
    question_with(factors, IdentityType::ResidentId, ID_NUMBER)
}

pub(crate) fn question_with(factors: Factors, kind: IdentityType, number: &str) -> Verification {
    let identity = || Identity::parse(kind, number, date(2026, 6, 1)).unwrap();
    Verification {
        card: CardNumber::parse(CARD).unwrap(),
        name: PersonName::parse(NAME).unwrap(),
        proof: match factors {
            Factors::Two => Proof::NameOnly,
            Factors::Three => Proof::Identity(identity()),
            Factors::Four => Proof::IdentityAndPhone(identity(), Phone::parse(PHONE).unwrap()),
        },
    }
}

pub(crate) fn vendor_settings(identity_types: &[(IdentityType, &str)]) -> VendorSettings {
    let identity_types: BTreeMap<_, _> = identity_types
        .iter()
        .map(|(kind, code)| (*kind, (*code).to_owned()))
        .collect();
    VendorSettings {
        requests_per_second: None,
        concurrent: 4,
        connect_timeout: Duration::from_secs(1),
        timeout: CONTEXT.timeout,
        ca_file: None,
        proxy: None,
        identity_types,
        maintenance: false,
        misconfigured_skip: Duration::from_secs(60),
        daily_budget: None,
        price: None,
    }
}

pub(crate) fn reply(status: u16, body: impl AsRef<[u8]>) -> HttpReply {
    HttpReply {
        status,
        body: Zeroizing::new(body.as_ref().to_vec()),
        content_type: None,
        retry_after: Some(Duration::from_secs(7)),
        clock_skew_seconds: Some(-1000),
    }
}

pub(crate) fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::parse(&format!("http://{address}"), false).unwrap()
}

/// Answers one request with a JSON body; hands out the request's text.
pub(crate) async fn serve_once(body: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut raw = Vec::new();
        let mut buffer = [0; 4096];
        let text = loop {
            let read = stream.read(&mut buffer).await.unwrap();
            raw.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8(raw.clone()).unwrap();
            if text.contains("\r\n\r\n")
                && (text.contains("content-length: 0") || text.ends_with('}'))
            {
                break text;
            }
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        text
    });
    (address, served)
}

/// A reply with some bytes changed, added or taken away, or two replies run into each other.
pub(crate) fn mutated_reply(seeds: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<Index>(), any::<u8>(), 0..4u8), 0..6);
    let splice = prop::option::weighted(0.3, (prop::sample::select(seeds), any::<Index>()));
    (prop::sample::select(seeds), edits, splice).prop_map(|(seed, edits, splice)| {
        let mut body = seed.as_bytes().to_vec();
        for (at, byte, edit) in edits {
            let at = at.index(body.len());
            match edit {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                2 if body.len() > 1 => drop(body.remove(at)),
                _ => body[at] ^= 1 << (byte % 8),
            }
        }
        if let Some((other, cut)) = splice {
            body.truncate(cut.index(body.len()));
            body.extend_from_slice(other.as_bytes());
        }
        body
    })
}
