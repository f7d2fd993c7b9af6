//! Which calls stand in the log is the operator's choice.

use crate::support::server::Server;
use cardproof::proto::bankcard::v1::QueryCardInfoRequest;
use rstest::rstest;

#[rstest]
#[case("none", 0, 0)]
#[case("problems", 0, 1)]
#[case("all", 1, 1)]
#[tokio::test(flavor = "multi_thread")]
async fn logged_calls(#[case] choice: &str, #[case] answered: usize, #[case] denied: usize) {
    let mut server = Server::start(&format!(
        "[server]\ndrain_delay_ms = 0\n[telemetry]\nlog_requests = \"{choice}\"\n"
    ));
    let mut client = server.client().await;
    for card in ["622202", "1"] {
        let request = QueryCardInfoRequest {
            bank_card: card.to_owned(),
            ..Default::default()
        };
        let _ = client.query_card_info(request).await;
    }
    // the last thing that the process says comes after everything else
    server.signal("TERM");
    server.wait();
    let counts = (
        server.count_logged("answered"),
        server.count_logged("no answer"),
    );
    assert_eq!(counts, (answered, denied));
}
