//! What a known caller may spend in a day, where replicas cannot see each other.

use std::fs;

use cardproof::proto::bankcard::v1::VerifyBankCardRequest;
use tonic::{Code, Request, metadata::MetadataValue};

use crate::{
    service_process::{GOOD_CARD, digest, told},
    support::{
        server::Server,
        vendor::{HttpVendor, json_reply},
    },
};

/// A call costs 1, each caller may spend 4, and there are `replicas` of which this is one.
fn settings(vendor: &HttpVendor, replicas: u32, callers: &[&str]) -> String {
    let mut text = format!(
        "[server]\nreplicas = {replicas}\n[auth]\nmode = \"token\"\n\
         [routes]\nverify = [\"paid\"]\n[guard]\nmax_calls = 1000\n\
         [providers.paid]\nkind = \"ace\"\nendpoint = \"http://{}\"\n\
         token = {{ env = \"PAID_TOKEN\" }}\n\
         price = {{ currency = \"CNY\", two = 1, three = 1, four = 1 }}\n",
        vendor.address
    );
    for name in callers {
        let digest = digest(name);
        text += &format!(
            "[clients.{name}]\ntoken_sha256 = [\"{digest}\"]\nmethods = [\"VerifyBankCard\"]\n\
             daily_budget = {{ currency = \"CNY\", amount = 4 }}\n"
        );
    }
    text
}

/// How many of five names a caller can afford to ask about.
async fn affords(server: &Server, caller: &str) -> usize {
    let mut client = server.client().await;
    let mut answered = 0;
    for name in ["张三", "李四", "王五", "赵六", "孙七"] {
        let mut request = Request::new(VerifyBankCardRequest {
            bank_card: GOOD_CARD.to_owned(),
            // a caller's own names, so that nobody has another one's answer
            name: format!("{name}·{}", if caller == "shop" { "甲" } else { "乙" }),
            ..VerifyBankCardRequest::default()
        });
        let token = MetadataValue::try_from(format!("Bearer {caller}")).unwrap();
        request.metadata_mut().insert("authorization", token);
        match client.verify_bank_card(request).await {
            Ok(_) => answered += 1,
            Err(status) => {
                let spent = (Code::ResourceExhausted, "CALLER_BUDGET_SPENT".to_owned());
                assert_eq!(told::<()>(Err(status)), spent);
            }
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_alone_spends_its_part_also_of_a_caller_that_is_new() {
    for (replicas, part) in [(1, 4), (3, 1)] {
        let matching = r#"{"result": "0", "description": "Authentication passed"}"#;
        let vendor = HttpVendor::start(move |_| json_reply(200, matching));
        let variables = [("PAID_TOKEN", "token-of-the-test")];
        let only_shop = settings(&vendor, replicas, &["shop"]);
        let mut server = Server::start_with(&only_shop, &variables);
        assert_eq!(affords(&server, "shop").await, part, "of {replicas}");
        // one that comes with a reload has its part, and one that stays keeps what it has spent
        let file = server.folder.path().join("cardproof.toml");
        fs::write(file, settings(&vendor, replicas, &["shop", "other"])).unwrap();
        server.wait_for("a reload", |server| {
            let outcome = server.status()["last_reload"]["outcome"].clone();
            (outcome == "applied").then_some(())
        });
        assert_eq!(affords(&server, "other").await, part, "of {replicas}");
        // what it has paid for is in the cache, and more it cannot afford
        assert_eq!(affords(&server, "shop").await, part, "of {replicas}");
        assert_eq!(vendor.calls(), 2 * part);
    }
}
