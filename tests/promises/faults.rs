//! Faults around the program: each loses no answer and costs nothing twice. The vendors' ledger says
//! what was paid for, a proxy between the program and its vendor plays the network.

mod disk;
mod network;
mod process;
mod proxy;
mod time;

use cardproof::proto::bankcard::v1::VerifyBankCardRequest;

use self::proxy::{Fault, Proxy};
use crate::{
    crowd::{ask, word},
    house::{House, Plan, asking, card, replicas},
};

/// Longer than an honest answer takes on a busy machine, and short enough to be waited for.
const VENDOR_TIMEOUT_MS: u64 = 2_000;

/// A program whose first vendor is behind a proxy, and which gives up on it soon.
fn behind(proxy: &Proxy) -> Plan {
    replicas(1)
        .with(
            "PROVIDERS__ACE__ENDPOINT",
            format!("http://{}", proxy.address),
        )
        .with("PROVIDERS__ACE__TIMEOUT_MS", VENDOR_TIMEOUT_MS)
        .with("PROVIDERS__ACE__CONNECT_TIMEOUT_MS", 500)
}

/// The same, opened.
async fn house_behind(proxy: &Proxy, plan: Plan) -> House {
    let house = plan.open().await;
    proxy.lead_to(house.emulator.address());
    house
}

fn question(number: usize) -> VerifyBankCardRequest {
    asking(&card(number), "张三")
}

/// Asks on a connection of its own; what was told, in a word.
async fn told(house: &House, asked: &VerifyBankCardRequest) -> String {
    word(&ask(&house.client(0), asked.clone()).await)
}

/// How often a question was paid for.
fn charges(house: &House, asked: &VerifyBankCardRequest) -> u64 {
    house.emulator.charges_of(&crate::house::question(asked))
}

/// A proxy that has a fault from now on.
fn broken(fault: Fault) -> Proxy {
    let proxy = Proxy::start();
    proxy.play(fault);
    proxy
}
