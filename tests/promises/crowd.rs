//! Callers: one question and what came of it.

use std::time::Duration;

use cardproof::proto::bankcard::v1::{
    CacheMode, CachePolicy, Charge, ResultCode, Source, VerifyBankCardRequest,
    VerifyBankCardResponse,
};
use tonic::{Code, Request, Status, metadata::MetadataValue};
use tonic_types::StatusExt;

use crate::replica::Client;

/// Longer than any call may take.
pub const PATIENT: Duration = Duration::from_secs(50);

/// What a caller was told.
pub type Told = Result<VerifyBankCardResponse, Status>;

/// A call with a deadline.
pub async fn ask_within(client: &Client, asked: VerifyBankCardRequest, limit: Duration) -> Told {
    let mut request = Request::new(asked);
    request.set_timeout(limit);
    send(client, request).await
}

/// A call of somebody who waits as long as it takes.
pub async fn ask(client: &Client, asked: VerifyBankCardRequest) -> Told {
    ask_within(client, asked, PATIENT).await
}

/// A call of somebody whose connection may be cut because others on it hang up too often, and who
/// meets a machine too busy to send what was asked for in time: it is made again, as the code says
/// that it may.
pub async fn ask_stubbornly(client: &Client, asked: VerifyBankCardRequest) -> Told {
    for _ in 0..20 {
        let told = ask(client, asked.clone()).await;
        match &told {
            Err(status) if status.get_details_error_info().is_none() => {}
            Err(status) if status.code() == Code::Unavailable => {}
            _ => return told,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ask(client, asked).await
}

/// A call of a caller with that name, whose token is the name.
pub async fn ask_as(client: &Client, caller: &str, asked: VerifyBankCardRequest) -> Told {
    let mut request = Request::new(asked);
    request.set_timeout(PATIENT);
    let token = MetadataValue::try_from(format!("Bearer {caller}")).unwrap();
    request.metadata_mut().insert("authorization", token);
    send(client, request).await
}

async fn send(client: &Client, request: Request<VerifyBankCardRequest>) -> Told {
    let answer = client.clone().verify_bank_card(request).await;
    answer.map(tonic::Response::into_inner)
}

/// The same question of somebody who wants no vendor asked.
pub fn only_if_cached(mut asked: VerifyBankCardRequest) -> VerifyBankCardRequest {
    asked.cache = Some(CachePolicy {
        mode: CacheMode::OnlyIfCached.into(),
        ..CachePolicy::default()
    });
    asked
}

/// Waits until the answer to a question is known without asking a vendor.
pub async fn until_known(client: &Client, asked: &VerifyBankCardRequest) -> VerifyBankCardResponse {
    let wanted = only_if_cached(asked.clone());
    for _ in 0..1000 {
        match ask(client, wanted.clone()).await {
            Ok(answer) => return answer,
            Err(status) => assert_eq!(reason(&status), "NOT_CACHED"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the answer never came into the cache");
}

/// The reason of an error.
pub fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.unwrap_or_else(|| panic!("{status:?}")).reason
}

/// In one word what a caller was told: the result, or the reason of the error.
pub fn word(told: &Told) -> String {
    match told {
        Ok(answer) => {
            let word = answer.result().as_str_name();
            word.trim_start_matches("RESULT_CODE_").to_owned()
        }
        Err(status) if status.code() == Code::Cancelled => "CANCELLED".to_owned(),
        Err(status) => reason(status),
    }
}

/// Whether an answer is a match that came from memory and cost nothing.
pub fn is_remembered_match(answer: &VerifyBankCardResponse) -> bool {
    answer.result() == ResultCode::Match
        && answer.charge() == Charge::NotCharged
        && matches!(answer.source(), Source::Cache | Source::SharedCache)
        && answer.attempts.is_empty()
}
