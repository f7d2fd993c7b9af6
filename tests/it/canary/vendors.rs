//! Vendors that are not there, that talk nonsense, and that say back what they were asked.

mod babble;
mod remote;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use parking_lot::Mutex;

use self::babble::Babble;
use super::{
    CARD, HASTY, PROXY_PASSWORD, Watch, finish, inquiry,
    questions::{informed, verified},
    start, verification,
};
use crate::support::{server::Server, vendor::HttpVendor};

/// Each provider with the factor counts that it verifies, and whether it knows cards.
const HTTP_VENDORS: [(&str, &[usize], bool); 3] = [
    ("ace", &[2, 3, 4], true),
    ("tencent", &[2, 3, 4], true),
    ("alibaba", &[3, 4], false),
];

pub async fn all(watch: &mut Watch) {
    unreachable(watch).await;
    babbling(watch).await;
    remote::all(watch).await;
}

/// The guard lets no card be asked about for ever: a new process has forgotten what it counted.
const MANNERS_AT_ONCE: usize = 8;
/// As much as can be allowed, and nobody passed over for having failed.
const PATIENT: &str =
    "[guard]\nmax_calls = 1000\nmax_mismatches = 100\n[breaker]\nenabled = false\n";

/// A port at which nobody listens.
pub fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Every vendor at one address, with its secrets; `more` goes to each.
fn settings(address: SocketAddr, more: &str) -> String {
    let vendor = |name: &str, secrets: &str| {
        format!(
            "[providers.{name}]\nkind = \"{name}\"\nendpoint = \"http://{address}\"\n{secrets}\n{more}\n"
        )
    };
    [
        HASTY.to_owned(),
        PATIENT.to_owned(),
        "[admin]\ntoken = { env = \"ADMIN_TOKEN\" }\n".to_owned(),
        "[cache]\nkey = { env = \"CACHE_KEY\" }\n".to_owned(),
        vendor("ace", "token = { env = \"ACE_TOKEN\" }"),
        vendor(
            "tencent",
            "secret_id = { env = \"TENCENT_ID\" }\nsecret_key = { env = \"TENCENT_KEY\" }",
        ),
        vendor(
            "alibaba",
            "product = \"intl\"\naccess_key_id = { env = \"ALIBABA_ID\" }\n\
             access_key_secret = { env = \"ALIBABA_SECRET\" }",
        ),
    ]
    .concat()
}

/// Asks every vendor everything that it can be asked, with so many factors at least.
async fn ask_all(watch: &mut Watch, server: &Server, how: &str, fewest: usize) {
    let client = server.client().await;
    for (vendor, factors, knows_cards) in HTTP_VENDORS {
        for factors in factors.iter().filter(|factors| **factors >= fewest) {
            let path = format!("{vendor} {how}, {factors} factors");
            let mut request = verification(CARD, *factors);
            request.provider = vendor.to_owned();
            verified(watch, &path, client.clone().verify_bank_card(request).await);
        }
        if knows_cards && fewest == 1 {
            let path = format!("{vendor} {how}, card information");
            let mut request = inquiry(CARD);
            request.provider = vendor.to_owned();
            informed(watch, &path, client.clone().query_card_info(request).await);
        }
    }
}

async fn unreachable(watch: &mut Watch) {
    let proxy = format!(
        "proxy = \"http://operator:{PROXY_PASSWORD}@{}\"",
        closed_port()
    );
    for (how, more) in [
        ("not there", ""),
        ("behind a proxy that is not there", &*proxy),
    ] {
        let server = start(&settings(closed_port(), more));
        ask_all(watch, &server, how, 1).await;
        finish(watch, &format!("server with vendors {how}"), server);
    }
}

async fn babbling(watch: &mut Watch) {
    let manner = Arc::new(Mutex::new(Babble::Nothing));
    let of_vendor = Arc::clone(&manner);
    let vendor = HttpVendor::start(move |received| {
        let manner = of_vendor.lock().clone();
        manner.reply(received)
    });
    // passed over for a second after each refusal of our credentials: those manners come last
    let toml = settings(
        vendor.address,
        "timeout_ms = 1000\nmisconfigured_skip_s = 1",
    );
    let mut heard = 0;
    for (number, some) in Babble::all().chunks(MANNERS_AT_ONCE).enumerate() {
        let server = start(&toml);
        for babble in some {
            let how = format!("babbling {}", babble.name());
            *manner.lock() = babble.clone();
            ask_all(watch, &server, &how, babble.fewest_factors()).await;
            assert!(vendor.calls() > heard, "{how}: the vendor was not asked");
            heard = vendor.calls();
        }
        finish(
            watch,
            &format!("server {number} with babbling vendors"),
            server,
        );
    }
    println!("{heard} calls reached the vendors");
}
