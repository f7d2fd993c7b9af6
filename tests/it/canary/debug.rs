//! The `Debug` output of messages and of the domain's values.

use std::{fmt::Debug, sync::Arc, time::Duration};

use cardproof::{
    cache::{Digests, Scope},
    config::secret::Secret,
    domain::{
        Answer, CardFacts, CardInfoResult, CardInquiry, CardNumber, CardRef, Charge, Finding,
        Identity, IdentityType, PersonName, Phone, ProviderMessage, Question, VendorToken,
        Verification, question::Proof,
    },
    grpc::client::{CardInfoQuestion, Target, Terms, VerifyQuestion},
    proto::bankcard::{
        provider::v1::{self as provider_v1, query_card_info_response, verify_bank_card_response},
        v1,
    },
    service::ask::{Ask, CacheMode, Caller},
};
use secrecy::SecretString;
use tokio::time::Instant;

use super::{CARD, CONSENT, ID_NUMBER, NAME, PHONE, SECRETS, Sink, Watch, inquiry, verification};

pub fn all(watch: &mut Watch) {
    public_messages(watch);
    provider_messages(watch);
    domain(watch);
    questions(watch);
}

/// Plain, and over several lines.
fn show(watch: &mut Watch, what: &str, value: &impl Debug) {
    let path = format!("debug {what}");
    watch.see(&path, Sink::Debug, &format!("{value:?}"));
    watch.see(&path, Sink::Debug, &format!("{value:#?}"));
}

fn attempt() -> v1::Attempt {
    v1::Attempt {
        provider: "paid".to_owned(),
        error_reason: "NOT_SENT".to_owned(),
        ..v1::Attempt::default()
    }
}

fn public_messages(watch: &mut Watch) {
    show(watch, "VerifyBankCardRequest", &verification(CARD, 4));
    show(
        watch,
        "Request of VerifyBankCardRequest",
        &tonic::Request::new(verification(CARD, 4)),
    );
    show(watch, "QueryCardInfoRequest", &inquiry(CARD));
    let verified = v1::VerifyBankCardResponse {
        provider_code: PHONE.to_owned(),
        provider_message: format!("{NAME} {CARD} {ID_NUMBER}"),
        provider_request_id: CARD.to_owned(),
        attempts: vec![attempt()],
        ..v1::VerifyBankCardResponse::default()
    };
    show(watch, "VerifyBankCardResponse", &verified);
    show(
        watch,
        "Response of VerifyBankCardResponse",
        &tonic::Response::new(verified),
    );
    let informed = v1::QueryCardInfoResponse {
        bank_name: NAME.to_owned(),
        bank_name_en: NAME.to_owned(),
        bank_code: PHONE.to_owned(),
        bin: CARD.to_owned(),
        provider_code: PHONE.to_owned(),
        provider_message: CARD.to_owned(),
        provider_request_id: ID_NUMBER.to_owned(),
        data_version: CARD.to_owned(),
        attempts: vec![attempt()],
        ..v1::QueryCardInfoResponse::default()
    };
    show(watch, "QueryCardInfoResponse", &informed);
}

fn provider_messages(watch: &mut Watch) {
    let reference = provider_v1::VendorReference {
        code: PHONE.to_owned(),
        message: format!("{NAME} {CARD}"),
        request_id: ID_NUMBER.to_owned(),
    };
    show(watch, "VendorReference", &reference);
    let asked = provider_v1::VerifyBankCardRequest {
        bank_card: CARD.to_owned(),
        name: NAME.to_owned(),
        id_number: ID_NUMBER.to_owned(),
        phone: PHONE.to_owned(),
        identity_type_code: PHONE.to_owned(),
        ..provider_v1::VerifyBankCardRequest::default()
    };
    show(watch, "provider VerifyBankCardRequest", &asked);
    let asked = provider_v1::QueryCardInfoRequest {
        bank_card: CARD.to_owned(),
    };
    show(watch, "provider QueryCardInfoRequest", &asked);
    let verified = provider_v1::Verification {
        reference: Some(reference.clone()),
        ..provider_v1::Verification::default()
    };
    show(watch, "Verification", &verified);
    let outcome = verify_bank_card_response::Outcome::Answer(verified);
    show(watch, "outcome of a verification", &outcome);
    let reply = provider_v1::VerifyBankCardResponse {
        outcome: Some(outcome),
    };
    show(watch, "provider VerifyBankCardResponse", &reply);
    let informed = provider_v1::CardInformation {
        bank_name: NAME.to_owned(),
        bank_name_en: NAME.to_owned(),
        bank_code: PHONE.to_owned(),
        reference: Some(reference),
        ..provider_v1::CardInformation::default()
    };
    show(watch, "CardInformation", &informed);
    let outcome = query_card_info_response::Outcome::Answer(informed);
    show(watch, "outcome of card information", &outcome);
    let reply = provider_v1::QueryCardInfoResponse {
        outcome: Some(outcome),
    };
    show(watch, "provider QueryCardInfoResponse", &reply);
}

fn verification_of_the_domain() -> Verification {
    let today = jiff::civil::date(2026, 1, 1);
    let identity = Identity::parse(IdentityType::ResidentId, ID_NUMBER, today).unwrap();
    Verification {
        card: CardNumber::parse(CARD).unwrap(),
        name: PersonName::parse(NAME).unwrap(),
        proof: Proof::IdentityAndPhone(identity, Phone::parse(PHONE).unwrap()),
    }
}

fn domain(watch: &mut Watch) {
    let verification = verification_of_the_domain();
    show(watch, "CardNumber", &verification.card);
    show(watch, "PersonName", &verification.name);
    show(watch, "Proof", &verification.proof);
    show(watch, "Identity", &verification.identity().unwrap());
    show(watch, "Phone", &verification.phone().unwrap());
    show(watch, "CardRef", &CardRef::parse(CARD).unwrap());
    show(watch, "CardPrefix", &CardRef::parse(&CARD[..11]).unwrap());
    let question = Question::Verify(verification.clone());
    show(watch, "Verification", &verification);
    show(watch, "Question of a verification", &question);
    let inquiry = CardInquiry {
        card: CardRef::parse(CARD).unwrap(),
    };
    show(watch, "CardInquiry", &inquiry);
    show(
        watch,
        "Question of card information",
        &Question::CardInfo(inquiry.clone()),
    );
    for (name, kept) in [
        ("4 factors", &question),
        ("card", &Question::CardInfo(inquiry)),
    ] {
        let tag = Digests::new(b"0123456789abcdef").question(kept, Scope::All, None);
        show(watch, &format!("QuestionTag of {name}"), &tag);
    }
    // a vendor's own words, which may quote what it was not asked here
    let message = ProviderMessage::Other(format!("{NAME} {CARD}").into());
    show(watch, "ProviderMessage", &message);
    let answer = Answer {
        finding: Finding::CardInfo {
            result: CardInfoResult::NoInformation,
            facts: CardFacts::default(),
        },
        charge: Charge::Charged,
        provider_code: VendorToken::screened(PHONE, &question),
        provider_message: message,
        provider_request_id: VendorToken::screened(CARD, &question),
        answered_at: jiff::Timestamp::now(),
    };
    show(watch, "Answer", &answer);
    for (name, secret) in SECRETS {
        show(
            watch,
            &format!("Secret {name}"),
            &Secret::new(secret.to_owned()),
        );
    }
}

fn questions(watch: &mut Watch) {
    let ask = Ask {
        caller: Arc::new(Caller::anonymous()),
        question: Question::Verify(verification_of_the_domain()),
        mode: CacheMode::Use,
        max_age: None,
        pinned: None,
        request_id: None,
        consent_reference: Some(CONSENT.into()),
        deadline: Instant::now(),
    };
    show(watch, "Ask", &ask);
    let question = VerifyQuestion {
        bank_card: CARD.into(),
        name: NAME.into(),
        id_number: ID_NUMBER.into(),
        phone: PHONE.into(),
        identity_type: None,
        terms: Terms::default(),
    };
    show(watch, "VerifyQuestion", &question);
    let question = CardInfoQuestion {
        bank_card: CARD.into(),
        terms: Terms::default(),
    };
    show(watch, "CardInfoQuestion", &question);
    let target = Target {
        address: "http://127.0.0.1:1".parse().unwrap(),
        ca: None,
        identity: None,
        token: Some(SecretString::from(SECRETS[0].1)),
        timeout: Duration::from_secs(1),
    };
    show(watch, "Target", &target);
}
