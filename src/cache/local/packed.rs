//! The answer to a verification in 80 bytes, without anything that hangs on it.
//!
//! Millions of answers are kept, and most are like this: a result, a short code, a phrase of the
//! vendor's table, and a request id that is a UUID. Whatever does not fit is kept as it is.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::{Uuid, fmt::Hyphenated};

use super::Stored;
use crate::domain::{
    Answer, Certainty, Charge, Finding, ProviderMessage, ProviderName, ResultCode, VendorToken,
};

/// Longer codes are not packed; the vendors' own have up to three characters.
const CODE_BYTES: usize = 8;

/// An answer, packed.
#[derive(Clone)]
pub(super) struct Packed {
    /// Nanoseconds since 1970, as is the next.
    answered_at: i64,
    fresh_until: i64,
    provider: ProviderName,
    message: Option<&'static str>,
    request_id: Uuid,
    /// Followed by zeros.
    code: [u8; CODE_BYTES],
    request_id_form: IdForm,
    result: ResultCode,
    certainty: Certainty,
    charge: Charge,
}

/// How a vendor writes its request ids.
#[derive(Clone, Copy)]
enum IdForm {
    Absent,
    Lower,
    Upper,
}

impl Packed {
    /// Packs an answer; `None` if it does not fit.
    pub(super) fn of(stored: &Stored) -> Option<Self> {
        let answer = &*stored.answer;
        let Finding::Verification { result, certainty } = answer.finding else {
            return None;
        };
        if stored.may_be_stale() {
            return None;
        }
        let message = match answer.provider_message {
            ProviderMessage::None => None,
            ProviderMessage::Known(phrase) => Some(phrase),
            ProviderMessage::Other(_) => return None,
        };
        let code = answer.provider_code.as_str().as_bytes();
        let mut padded = [0; CODE_BYTES];
        padded.get_mut(..code.len())?.copy_from_slice(code);
        let (request_id_form, request_id) = read_id(answer.provider_request_id.as_str())?;
        let nanoseconds = |at: Timestamp| i64::try_from(at.as_nanosecond()).ok();
        Some(Self {
            answered_at: nanoseconds(answer.answered_at)?,
            fresh_until: nanoseconds(stored.fresh_until)?,
            provider: stored.provider.clone(),
            message,
            request_id,
            code: padded,
            request_id_form,
            result,
            certainty,
            charge: answer.charge,
        })
    }

    /// The answer as it was.
    pub(super) fn stored(self) -> Stored {
        let code = self.code.split(|byte| *byte == 0).next();
        let code = std::str::from_utf8(code.unwrap_or_default()).unwrap_or_default();
        let mut buffer = [0; Hyphenated::LENGTH];
        let request_id = self.request_id.hyphenated();
        let request_id = match self.request_id_form {
            IdForm::Absent => "",
            IdForm::Lower => request_id.encode_lower(&mut buffer),
            IdForm::Upper => request_id.encode_upper(&mut buffer),
        };
        let fresh_until = self.fresh_until();
        Stored {
            answer: Arc::new(Answer {
                finding: Finding::Verification {
                    result: self.result,
                    certainty: self.certainty,
                },
                charge: self.charge,
                provider_code: VendorToken::trusted(code),
                provider_message: self
                    .message
                    .map_or(ProviderMessage::None, ProviderMessage::Known),
                provider_request_id: VendorToken::trusted(request_id),
                answered_at: timestamp(self.answered_at),
            }),
            provider: self.provider,
            fresh_until,
            stale_until: fresh_until,
        }
    }

    /// Until when it may be given out.
    pub(super) fn fresh_until(&self) -> Timestamp {
        timestamp(self.fresh_until)
    }
}

fn timestamp(nanoseconds: i64) -> Timestamp {
    // every such number is a time that the type can hold
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default()
}

/// Reads a request id; `None` if it is not written as a UUID usually is.
fn read_id(text: &str) -> Option<(IdForm, Uuid)> {
    if text.is_empty() {
        return Some((IdForm::Absent, Uuid::nil()));
    }
    let id = Uuid::try_parse(text).ok()?;
    let mut buffer = [0; Hyphenated::LENGTH];
    if id.hyphenated().encode_lower(&mut buffer) == text {
        return Some((IdForm::Lower, id));
    }
    (id.hyphenated().encode_upper(&mut buffer) == text).then_some((IdForm::Upper, id))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::CardFacts;

    fn stored(code: &str, request_id: &str, message: ProviderMessage) -> Stored {
        let answered_at: Timestamp = "2026-03-01T10:20:30.123456789Z".parse().unwrap();
        let fresh_until = "2026-03-02T08:00:00.5Z".parse().unwrap();
        Stored {
            answer: Arc::new(Answer {
                finding: Finding::Verification {
                    result: ResultCode::CardRestricted,
                    certainty: Certainty::Doubtful,
                },
                charge: Charge::Charged,
                provider_code: VendorToken::trusted(code),
                provider_message: message,
                provider_request_id: VendorToken::trusted(request_id),
                answered_at,
            }),
            provider: ProviderName::new("tencent").unwrap(),
            fresh_until,
            stale_until: fresh_until,
        }
    }

    #[rstest]
    #[case("", "", ProviderMessage::None)]
    #[case(
        "-25",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        ProviderMessage::Known("认证未通过")
    )]
    #[case(
        "12345678",
        "0F8FAD5B-D9CB-469F-A165-70867728950E",
        ProviderMessage::None
    )]
    fn what_fits_comes_back_as_it_was(
        #[case] code: &str,
        #[case] request_id: &str,
        #[case] message: ProviderMessage,
    ) {
        let before = stored(code, request_id, message);
        let after = Packed::of(&before).unwrap().stored();
        assert_eq!(after.answer, before.answer);
        assert_eq!(after.provider, before.provider);
        assert_eq!(after.fresh_until, before.fresh_until);
        assert_eq!(after.stale_until, before.stale_until);
    }

    #[rstest]
    #[case("123456789", "", ProviderMessage::None)]
    #[case("0", "0f8fad5b-d9cb-469f-a165-70867728950E", ProviderMessage::None)]
    #[case("0", "0f8fad5bd9cb469fa16570867728950e", ProviderMessage::None)]
    #[case("0", "request-1", ProviderMessage::None)]
    #[case("0", "", ProviderMessage::Other("anything".into()))]
    fn what_does_not_fit_is_not_bent(
        #[case] code: &str,
        #[case] request_id: &str,
        #[case] message: ProviderMessage,
    ) {
        assert!(Packed::of(&stored(code, request_id, message)).is_none());
    }

    #[test]
    fn card_information_and_what_may_be_stale_is_kept_whole() {
        let mut old = stored("0", "", ProviderMessage::None);
        old.stale_until += std::time::Duration::from_secs(1);
        assert!(Packed::of(&old).is_none());
        let mut info = stored("0", "", ProviderMessage::None);
        info.answer = Arc::new(Answer {
            finding: Finding::CardInfo {
                result: crate::domain::CardInfoResult::Found,
                facts: CardFacts::default(),
            },
            ..Answer::clone(&info.answer)
        });
        assert!(Packed::of(&info).is_none());
    }

    #[test]
    fn it_is_as_small_as_the_first_line_says() {
        assert_eq!(size_of::<Packed>(), 80);
        assert_eq!(size_of::<super::super::Kept>(), 80);
    }
}
