//! Questions that are answered by the service itself, and questions that are wrong.

use cardproof::{
    proto::bankcard::v1::{
        CacheMode, CachePolicy, QueryCardInfoRequest, QueryCardInfoResponse, VerifyBankCardRequest,
        VerifyBankCardResponse, bank_card_service_client::BankCardServiceClient,
    },
    provider::sandbox::{Behaviour, documented},
};
use tonic::{Response, Status, transport::Channel};

use super::{
    CARD, CONSENT, HASTY, ID_NUMBER, NAME, PHONE, REQUEST_IDS, Sink, Watch, finish, inquiry,
    next_request_id, secret, start, verification,
};

type Client = BankCardServiceClient<Channel>;

pub async fn all(watch: &mut Watch) {
    let server = start(HASTY);
    let mut client = server.client().await;
    sandbox(watch, &mut client).await;
    bad_fields(watch, &mut client).await;
    bad_policies(watch, &mut client).await;
    finish(watch, "server of the sandbox", server);
    too_late(watch).await;
    enforced(watch).await;
}

/// What a caller gets back, whatever it is.
pub fn verified(
    watch: &mut Watch,
    path: &str,
    outcome: Result<Response<VerifyBankCardResponse>, Status>,
) {
    match outcome {
        Ok(reply) => {
            watch.see(path, Sink::Debug, &format!("{reply:?}"));
            let reply = reply.into_inner();
            let texts = [
                reply.provider,
                reply.provider_code,
                reply.provider_message,
                reply.provider_request_id,
                format!("{:?}", reply.attempts),
            ];
            watch.see(path, Sink::Reply, &texts.join("\n"));
        }
        Err(status) => watch.status(path, &status),
    }
}

/// The same for card information. `bin` is left out: it is the beginning of the caller's number.
pub fn informed(
    watch: &mut Watch,
    path: &str,
    outcome: Result<Response<QueryCardInfoResponse>, Status>,
) {
    match outcome {
        Ok(reply) => {
            watch.see(path, Sink::Debug, &format!("{reply:?}"));
            let reply = reply.into_inner();
            assert!(reply.bin.len() <= 11);
            let texts = [
                reply.bank_name,
                reply.bank_name_en,
                reply.bank_code,
                reply.provider,
                reply.provider_code,
                reply.provider_message,
                reply.provider_request_id,
                reply.data_version,
                format!("{:?}", reply.attempts),
            ];
            watch.see(path, Sink::Reply, &texts.join("\n"));
        }
        Err(status) => watch.status(path, &status),
    }
}

/// Every behaviour of the sandbox; the watch knows its cards by their check digit.
async fn sandbox(watch: &mut Watch, client: &mut Client) {
    for row in documented() {
        // three seconds each would be long; it is among those that come too late
        let factors = if row.behaviour == Behaviour::Slow {
            4..=4
        } else {
            2..=4
        };
        for factors in factors {
            let path = format!("sandbox {}, {factors} factors", row.description());
            let outcome = client
                .verify_bank_card(verification(row.number, factors))
                .await;
            verified(watch, &path, outcome);
        }
        for provider in ["sandbox", "bin"] {
            let path = format!("{provider} {}, card information", row.description());
            let mut request = inquiry(row.number);
            request.provider = provider.to_owned();
            informed(watch, &path, client.query_card_info(request).await);
        }
    }
    for card in [CARD, "6222029137", "622202"] {
        let path = format!("card information of {} digits", card.len());
        informed(watch, &path, client.query_card_info(inquiry(card)).await);
    }
    let mut unable = verification(CARD, 4);
    unable.provider = "bin".to_owned();
    verified(
        watch,
        "a provider that cannot",
        client.verify_bank_card(unable).await,
    );
    let mut missing = verification(CARD, 3);
    missing.cache = Some(CachePolicy {
        mode: CacheMode::OnlyIfCached.into(),
        max_age: None,
    });
    verified(watch, "not cached", client.verify_bank_card(missing).await);
}

/// Everything that somebody could put where it does not belong.
fn strays() -> Vec<(&'static str, String)> {
    vec![
        ("card", CARD.to_owned()),
        ("card with letters", format!("{CARD}x")),
        ("card with a digit too many", format!("{CARD}7")),
        ("card in groups", "6222 0291 3746 5028 372 /".to_owned()),
        ("name", NAME.to_owned()),
        ("name with digits", format!("{NAME}7")),
        ("id number", ID_NUMBER.to_owned()),
        ("id number with a wrong end", format!("{ID_NUMBER}7")),
        ("phone", PHONE.to_owned()),
        ("phone with a digit too many", format!("+86{PHONE}5")),
        ("consent reference", CONSENT.to_owned()),
        ("request id", format!("{REQUEST_IDS}-zzzz")),
        ("secret", secret("ACE_TOKEN").to_owned()),
        (
            "everything",
            format!("{CARD};{NAME};{ID_NUMBER};{PHONE};{CONSENT}"),
        ),
        ("much of it", CARD.repeat(500)),
        (
            "controls",
            format!("\u{0}\r\n{CARD}\u{1b}[31m{NAME}\u{202e}"),
        ),
    ]
}

type SetVerify = fn(&mut VerifyBankCardRequest, String);
type SetInfo = fn(&mut QueryCardInfoRequest, String);

async fn bad_fields(watch: &mut Watch, client: &mut Client) {
    let verify: [(&str, SetVerify); 7] = [
        ("bank_card", |request, value| request.bank_card = value),
        ("name", |request, value| request.name = value),
        ("id_number", |request, value| request.id_number = value),
        ("phone", |request, value| request.phone = value),
        ("provider", |request, value| request.provider = value),
        ("request_id", |request, value| request.request_id = value),
        ("consent_reference", |request, value| {
            request.consent_reference = value
        }),
    ];
    let info: [(&str, SetInfo); 3] = [
        ("bank_card", |request, value| request.bank_card = value),
        ("provider", |request, value| request.provider = value),
        ("request_id", |request, value| request.request_id = value),
    ];
    for (what, value) in strays() {
        for (field, set) in verify {
            let mut request = verification(CARD, 4);
            set(&mut request, value.clone());
            let path = format!("verify with {what} in {field}");
            verified(watch, &path, client.verify_bank_card(request).await);
        }
        for (field, set) in info {
            let mut request = inquiry(CARD);
            set(&mut request, value.clone());
            let path = format!("card information with {what} in {field}");
            informed(watch, &path, client.query_card_info(request).await);
        }
    }
}

async fn bad_policies(watch: &mut Watch, client: &mut Client) {
    let age = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    for (what, policy) in [
        (
            "mode",
            CachePolicy {
                mode: 139_127,
                max_age: None,
            },
        ),
        (
            "age",
            CachePolicy {
                mode: 0,
                max_age: age(-13_912_783_465),
            },
        ),
        // a card number where seconds are expected
        (
            "huge age",
            CachePolicy {
                mode: 0,
                max_age: age(6_222_029_137_465_028_372),
            },
        ),
    ] {
        let mut request = verification(CARD, 4);
        request.cache = Some(policy);
        let path = format!("verify with a bad {what}");
        verified(watch, &path, client.verify_bank_card(request).await);
        let mut request = inquiry(CARD);
        request.cache = Some(policy);
        let path = format!("card information with a bad {what}");
        informed(watch, &path, client.query_card_info(request).await);
    }
    let mut request = verification(CARD, 4);
    request.identity_type = 1_391_278_346;
    verified(
        watch,
        "a bad identity type",
        client.verify_bank_card(request).await,
    );
    let mut request = verification(CARD, 4);
    request.id_number.clear();
    verified(
        watch,
        "a phone without an id number",
        client.verify_bank_card(request).await,
    );
    for kind in 0..=9 {
        let mut request = verification(CARD, 4);
        request.identity_type = kind;
        let path = format!("identity type {kind}");
        verified(watch, &path, client.verify_bank_card(request).await);
    }
}

/// Deadlines, at each of their stages, and a process that has no room.
async fn too_late(watch: &mut Watch) {
    const SLOW: &str = "6200000300000010";
    let server = start("[server]\ndrain_delay_ms = 0\nmax_deadline_ms = 300\nmax_in_flight = 1\n");
    let mut client = server.client().await;
    let mut other = client.clone();
    let slow = client.verify_bank_card(verification(SLOW, 4));
    let turned_away = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        other.verify_bank_card(verification(CARD, 4)).await
    };
    let (slow, turned_away) = tokio::join!(slow, turned_away);
    verified(watch, "too slow for the deadline", slow);
    verified(watch, "no room", turned_away);
    let mut impatient = tonic::Request::new(verification(CARD, 4));
    impatient
        .metadata_mut()
        .insert("grpc-timeout", "0n".parse().unwrap());
    verified(
        watch,
        "no time at all",
        client.verify_bank_card(impatient).await,
    );
    let mut hasty = tonic::Request::new(verification(CARD, 3));
    hasty.set_timeout(std::time::Duration::from_millis(50));
    verified(
        watch,
        "too little time to ask",
        client.verify_bank_card(hasty).await,
    );
    finish(watch, "hasty server", server);
}

async fn enforced(watch: &mut Watch) {
    let server = start(&format!("{HASTY}[input]\nluhn = \"enforce\"\n"));
    let mut client = server.client().await;
    // its last digit changed: the watch knows it by its middle
    let wrong = format!("{}3", &CARD[..CARD.len() - 1]);
    let mut request = verification(&wrong, 4);
    request.request_id = next_request_id();
    verified(
        watch,
        "a wrong check digit",
        client.verify_bank_card(request).await,
    );
    informed(
        watch,
        "a wrong check digit",
        client.query_card_info(inquiry(&wrong)).await,
    );
    finish(watch, "strict server", server);
}
