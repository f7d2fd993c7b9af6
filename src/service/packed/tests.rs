use proptest::{prelude::*, sample::select};

use super::*;

fn provider(name: &str) -> ProviderName {
    ProviderName::new(name).unwrap()
}

fn tags() -> Tags<CardTag> {
    CardTag::from_bytes([7; 8]).into()
}

prop_compose! {
    fn facts()(
        texts in proptest::collection::vec("[a-zA-Z银行 ]{0,20}", 5),
        card_type in proptest::option::of(select(CardType::ALL)),
        network in proptest::option::of(select(CardNetwork::ALL)),
    ) -> CardFacts {
        let text = |at: usize| Cow::Owned(texts[at].clone());
        CardFacts {
            bank_name: text(0),
            bank_name_en: text(1),
            bank_code: text(2),
            card_type,
            network,
            bin: text(3),
            data_version: text(4),
        }
    }
}

fn finding() -> impl Strategy<Value = Finding> {
    let verification = (select(ResultCode::ALL), any::<bool>()).prop_map(|(result, doubtful)| {
        let certainty = if doubtful {
            Certainty::Doubtful
        } else {
            Certainty::Certain
        };
        Finding::Verification { result, certainty }
    });
    let card_info = (select(CardInfoResult::ALL), facts())
        .prop_map(|(result, facts)| Finding::CardInfo { result, facts });
    prop_oneof![verification, card_info]
}

prop_compose! {
    fn kept()(
        finding in finding(),
        charge in select(Charge::ALL),
        code in "[A-Za-z0-9._-]{0,16}",
        request_id in "[A-Za-z0-9._-]{0,64}",
        known in any::<bool>(),
        at_us in 0i64..4_000_000_000_000_000,
        fresh_ms in 1i64..4_000_000_000_000,
        stale_ms in 1i64..4_000_000_000_000,
    ) -> Stored {
        let message = if known {
            ProviderMessage::Known(wording_of("Authentication passed").unwrap())
        } else {
            ProviderMessage::None
        };
        Stored {
            answer: Arc::new(Answer {
                finding,
                charge,
                provider_code: VendorToken::trusted(&code),
                provider_message: message,
                provider_request_id: VendorToken::trusted(&request_id),
                answered_at: Timestamp::from_microsecond(at_us).unwrap(),
            }),
            provider: provider("ace"),
            fresh_until: Timestamp::from_millisecond(fresh_ms).unwrap(),
            stale_until: Timestamp::from_millisecond(stale_ms).unwrap(),
        }
    }
}

fn conclusion(stored: &Stored) -> Arc<Conclusion> {
    Arc::new(Conclusion {
        answer: Arc::clone(&stored.answer),
        provider: stored.provider.clone(),
        source: Source::Provider,
        embedded: false,
        attempts: Vec::new(),
    })
}

proptest! {
    #[test]
    fn answers_come_back_as_they_went(kept in kept()) {
        let read = read_stored(&stored(&kept)).unwrap();
        prop_assert_eq!(&read.answer, &kept.answer);
        prop_assert_eq!(&read.provider, &kept.provider);
        prop_assert_eq!((read.fresh_until, read.stale_until), (kept.fresh_until, kept.stale_until));

        let outcome: Outcome = Ok(conclusion(&kept));
        let packed = ending(&outcome, Some(&kept), &[provider("ace"), provider("tencent")]);
        let ended = read_ending(&packed.unwrap()).unwrap();
        prop_assert_eq!(&ended.outcome.unwrap_or_else(|_| panic!("an answer")).answer, &kept.answer);
        prop_assert_eq!(ended.stored.unwrap().fresh_until, kept.fresh_until);

        let Remembered::Answer(read, card) =
            read_remembered(&remembered(&Remembered::Answer(conclusion(&kept), tags())), tags())
        else {
            panic!("an answer");
        };
        prop_assert_eq!((&read.answer, card), (&kept.answer, tags()));
    }

    #[test]
    fn refusals_come_back_as_they_went(
        reason in select(Reason::ALL),
        retry_after in proptest::option::of(0u64..1_000_000),
        words in proptest::collection::vec(select(AttemptOutcome::ALL), 0..4),
    ) {
        let mut refusal = Refusal::new(reason);
        refusal.retry_after = retry_after.map(Duration::from_millis);
        refusal.providers = words.iter().map(|it| (provider("ace"), it.as_str())).collect();
        refusal.provider_request_id = VendorToken::trusted("id-1");
        let denial = Denial::Refused(Box::new(refusal));
        let outcome: Outcome = Err(Arc::new(denial.clone()));
        let ended = read_ending(&ending(&outcome, None, &[]).unwrap()).unwrap();
        let read = ended.outcome.err().unwrap();
        prop_assert_eq!(&*read, &denial);
        // a hold says nothing but that the outcome is not known
        let held = read_hold(&hold(&denial));
        prop_assert_eq!(held.reason_name(), "OUTCOME_UNKNOWN");
        prop_assert_eq!(held == denial, reason == Reason::OutcomeUnknown);
    }

    #[test]
    fn no_bytes_are_a_surprise(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _read = (read_stored(&bytes), read_ending(&bytes));
        let _held = read_hold(&bytes);
        let _remembered = read_remembered(&bytes, tags());
    }
}

#[test]
fn a_text_for_one_caller_alone_is_not_packed() {
    let answer = Answer {
        finding: Finding::verified(ResultCode::Mismatch),
        charge: Charge::Charged,
        provider_code: VendorToken::trusted("1"),
        provider_message: ProviderMessage::Other("for this caller only".into()),
        provider_request_id: VendorToken::default(),
        answered_at: Timestamp::UNIX_EPOCH,
    };
    let kept = Stored {
        answer: Arc::new(answer),
        provider: provider("ace"),
        fresh_until: Timestamp::MAX,
        stale_until: Timestamp::MAX,
    };
    let outcome: Outcome = Ok(conclusion(&kept));
    let all = [
        stored(&kept),
        ending(&outcome, Some(&kept), &[]).unwrap(),
        remembered(&Remembered::Answer(conclusion(&kept), tags())),
    ];
    for packed in all {
        assert!(!packed.windows(6).any(|window| window == b"caller"));
    }
}

#[test]
fn a_call_of_others_is_no_end_for_those_who_may_ask_more() {
    let denial = Denial::because(Reason::ProvidersUnavailable);
    let outcome: Outcome = Err(Arc::new(denial));
    let packed = ending(&outcome, None, &[provider("ace")]).unwrap();
    let ended = read_ending(&packed).unwrap();
    assert!(ended.covers(&[provider("ace")]));
    assert!(!ended.covers(&[provider("ace"), provider("tencent")]));
}

/// What vendors' errors can be called must come back by its name.
#[test]
fn all_words_are_known() {
    use crate::provider::ProviderErrorKind;
    for kind in ProviderErrorKind::ALL {
        assert_eq!(word_of(kind.as_str()), kind.as_str());
    }
}
