//! Between messages and the domain: every value of a request is parsed, every violation reported
//! at once, and what a message held is overwritten once it was read.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Date};
use tokio::time::Instant;
use uuid::Uuid;
use zeroize::Zeroize;

use crate::{
    config::LuhnPolicy,
    domain::{
        Answer, Attempt, AttemptOutcome, CardInfoResult, CardInquiry, CardNetwork, CardNumber,
        CardRef, CardType, Charge, Factors, Field, Finding, Identity, IdentityType, InvalidInput,
        PersonName, Phone, ProviderName, Question, ResultCode, Source, Verdict, Verification,
        Violation, input::Malformed, question::Proof,
    },
    proto::bankcard::v1,
    service::ask::{Ask, CacheMode, Caller, Reply},
};

/// The longest consent reference.
const MAX_CONSENT_CHARS: usize = 64;

/// What reading a request needs to know beside the request.
pub struct Reading {
    /// Who asks.
    pub caller: Arc<Caller>,
    /// The providers that there are.
    pub providers: Arc<BTreeSet<ProviderName>>,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// What to make of a number that fails the Luhn check.
    pub luhn: LuhnPolicy,
    /// The date in mainland China.
    pub today: Date,
}

/// Collects what is wrong with a request.
#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn add(&mut self, field: Field, reason: InvalidInput, detail: &'static str) {
        self.0.push(Violation::new(field, reason, detail));
    }

    /// The parsed value, or `None` and one violation more.
    fn take<T>(
        &mut self,
        field: Field,
        reason: InvalidInput,
        parsed: Result<T, Malformed>,
    ) -> Option<T> {
        parsed
            .map_err(|malformed| self.add(field, reason, malformed.0))
            .ok()
    }

    fn sorted(mut self) -> Vec<Violation> {
        self.0.sort();
        self.0
    }
}

impl Reading {
    /// Reads a request for verification.
    ///
    /// # Errors
    /// Everything that is wrong with it, in field order.
    pub fn verification(
        &self,
        mut request: v1::VerifyBankCardRequest,
    ) -> Result<Ask, Vec<Violation>> {
        let mut violations = Violations::default();
        let card = violations.take(
            Field::BankCard,
            InvalidInput::CardNumber,
            CardNumber::parse(&request.bank_card),
        );
        if let Some(card) = &card {
            self.check_luhn(card, &mut violations);
        }
        let name = self.name(&request.name, &mut violations);
        let proof = self.proof(&request, &mut violations);
        let question = match (card, name, proof) {
            (Some(card), Some(name), Some(proof)) => {
                Some(Question::Verify(Verification { card, name, proof }))
            }
            _ => None,
        };
        let consent = consent(&request, &mut violations);
        request.bank_card.zeroize();
        request.name.zeroize();
        request.id_number.zeroize();
        request.phone.zeroize();
        let rest = Rest {
            cache: request.cache,
            provider: request.provider,
            request_id: request.request_id,
            consent_reference: consent,
        };
        self.finish(question, rest, violations)
    }

    /// Reads a request for card information.
    ///
    /// # Errors
    /// Everything that is wrong with it, in field order.
    pub fn card_inquiry(
        &self,
        mut request: v1::QueryCardInfoRequest,
    ) -> Result<Ask, Vec<Violation>> {
        let mut violations = Violations::default();
        let card = violations.take(
            Field::BankCard,
            InvalidInput::CardNumber,
            CardRef::parse(&request.bank_card),
        );
        if let Some(card) = card.as_ref().and_then(CardRef::full) {
            self.check_luhn(card, &mut violations);
        }
        request.bank_card.zeroize();
        let question = card.map(|card| Question::CardInfo(CardInquiry { card }));
        let rest = Rest {
            cache: request.cache,
            provider: request.provider,
            request_id: request.request_id,
            consent_reference: None,
        };
        self.finish(question, rest, violations)
    }

    fn check_luhn(&self, card: &CardNumber, violations: &mut Violations) {
        if self.luhn == LuhnPolicy::Enforce && !card.luhn_valid() {
            violations.add(
                Field::BankCard,
                InvalidInput::CardNumber,
                "fails the Luhn check",
            );
        }
    }

    fn name(&self, raw: &str, violations: &mut Violations) -> Option<PersonName> {
        if raw.is_empty() {
            violations.add(
                Field::Name,
                InvalidInput::Factors,
                "is required: a card and a name make 2 factors",
            );
            return None;
        }
        violations.take(Field::Name, InvalidInput::Name, PersonName::parse(raw))
    }

    fn proof(
        &self,
        request: &v1::VerifyBankCardRequest,
        violations: &mut Violations,
    ) -> Option<Proof> {
        let kind = identity_type(request.identity_type, violations);
        let has_id_number = !request.id_number.is_empty();
        if !has_id_number && kind.is_some_and(|kind| kind != IdentityType::ResidentId) {
            violations.add(
                Field::IdentityType,
                InvalidInput::IdentityType,
                "is given without an id_number",
            );
        }
        let identity = kind.filter(|_| has_id_number).and_then(|kind| {
            violations.take(
                Field::IdNumber,
                InvalidInput::IdNumber,
                Identity::parse(kind, &request.id_number, self.today),
            )
        });
        if request.phone.is_empty() {
            return if has_id_number {
                identity.map(Proof::Identity)
            } else {
                Some(Proof::NameOnly)
            };
        }
        let phone = violations.take(
            Field::Phone,
            InvalidInput::Phone,
            Phone::parse(&request.phone),
        );
        if !has_id_number {
            violations.add(
                Field::IdNumber,
                InvalidInput::Factors,
                "is required beside a phone",
            );
        }
        Some(Proof::IdentityAndPhone(identity?, phone?))
    }

    fn finish(
        &self,
        question: Option<Question>,
        rest: Rest,
        mut violations: Violations,
    ) -> Result<Ask, Vec<Violation>> {
        let (mode, max_age) = cache_policy(rest.cache.as_ref(), &mut violations);
        let pinned = self.pinned(&rest.provider, &mut violations);
        let request_id = request_id(&rest.request_id, &mut violations);
        match question {
            Some(question) if violations.0.is_empty() => Ok(Ask {
                caller: Arc::clone(&self.caller),
                question,
                mode,
                max_age,
                pinned,
                request_id,
                consent_reference: rest.consent_reference,
                deadline: self.deadline,
            }),
            _ => Err(violations.sorted()),
        }
    }

    /// Known here already, so that an unknown provider is told together with all other violations.
    fn pinned(&self, raw: &str, violations: &mut Violations) -> Option<ProviderName> {
        if raw.is_empty() {
            return None;
        }
        let name = ProviderName::new(raw).filter(|name| self.providers.contains(name));
        if name.is_none() {
            violations.add(
                Field::Provider,
                InvalidInput::ProviderUnknown,
                "no provider of that name is configured",
            );
        }
        name
    }
}

/// The fields that both requests have, as they came.
struct Rest {
    cache: Option<v1::CachePolicy>,
    provider: String,
    request_id: String,
    consent_reference: Option<Box<str>>,
}

fn identity_type(raw: i32, violations: &mut Violations) -> Option<IdentityType> {
    use v1::IdentityType as Wire;
    let kind = match Wire::try_from(raw) {
        Ok(Wire::Unspecified | Wire::ResidentId) => IdentityType::ResidentId,
        Ok(Wire::Passport) => IdentityType::Passport,
        Ok(Wire::HkMacaoPermit) => IdentityType::HkMacaoPermit,
        Ok(Wire::TaiwanPermit) => IdentityType::TaiwanPermit,
        Ok(Wire::ForeignPermanentResident) => IdentityType::ForeignPermanentResident,
        Ok(Wire::MilitaryOfficer) => IdentityType::MilitaryOfficer,
        Ok(Wire::Soldier) => IdentityType::Soldier,
        Ok(Wire::PoliceOfficer) => IdentityType::PoliceOfficer,
        Ok(Wire::Other) => IdentityType::Other,
        Err(_) => {
            violations.add(
                Field::IdentityType,
                InvalidInput::IdentityType,
                "is no value of IdentityType",
            );
            return None;
        }
    };
    Some(kind)
}

fn cache_policy(
    policy: Option<&v1::CachePolicy>,
    violations: &mut Violations,
) -> (CacheMode, Option<Duration>) {
    let Some(policy) = policy else {
        return (CacheMode::Use, None);
    };
    let mode = match v1::CacheMode::try_from(policy.mode) {
        Ok(v1::CacheMode::Unspecified) => CacheMode::Use,
        Ok(v1::CacheMode::Bypass) => CacheMode::Bypass,
        Ok(v1::CacheMode::OnlyIfCached) => CacheMode::OnlyIfCached,
        Err(_) => {
            violations.add(
                Field::CacheMode,
                InvalidInput::CachePolicy,
                "is no value of CacheMode",
            );
            CacheMode::Use
        }
    };
    let max_age = policy.max_age.and_then(|age| {
        let parsed = Duration::try_from(age);
        if parsed.is_err() {
            violations.add(
                Field::CacheMaxAge,
                InvalidInput::CachePolicy,
                "must be a duration that is not negative",
            );
        }
        parsed.ok()
    });
    (mode, max_age)
}

fn request_id(raw: &str, violations: &mut Violations) -> Option<Uuid> {
    if raw.is_empty() {
        return None;
    }
    let parsed = Uuid::try_parse(raw).ok().filter(|id| !id.is_nil());
    if parsed.is_none() {
        violations.add(
            Field::RequestId,
            InvalidInput::RequestId,
            "must be a UUID that is not nil",
        );
    }
    parsed
}

/// Reads the consent reference; one that contains a value of the request would carry that value
/// into the ledger.
fn consent(request: &v1::VerifyBankCardRequest, violations: &mut Violations) -> Option<Box<str>> {
    let raw = request.consent_reference.as_str();
    if raw.is_empty() {
        return None;
    }
    let mut refuse = |detail| {
        violations.add(
            Field::ConsentReference,
            InvalidInput::ConsentReference,
            detail,
        );
    };
    let printable = raw.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if raw.len() > MAX_CONSENT_CHARS || !printable {
        refuse("must be at most 64 printable ASCII characters");
        return None;
    }
    let values = [
        &request.bank_card,
        &request.name,
        &request.id_number,
        &request.phone,
    ];
    let compact = folded(raw);
    let contained = values
        .into_iter()
        .map(|value| folded(value))
        .any(|value| !value.is_empty() && compact.contains(&value));
    let phone = folded(&request.phone);
    let bare_phone = phone
        .get(phone.len().saturating_sub(11)..)
        .unwrap_or_default();
    if contained || (!bare_phone.is_empty() && compact.contains(bare_phone)) {
        refuse("must not contain a value of the request");
        return None;
    }
    Some(raw.into())
}

/// Letters and digits only, upper case, full-width digits made plain.
fn folded(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\u{ff10}'..='\u{ff19}' => char::from(b'0' + (character as u32 - 0xff10) as u8),
            other => other,
        })
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_uppercase)
        .collect()
}

/// The reply to a verification. `None` when the answer is of another kind, which no provider gives.
#[must_use]
pub fn verification_reply(
    reply: Reply,
    factors: Factors,
    luhn_valid: bool,
) -> Option<v1::VerifyBankCardResponse> {
    let answer: &Answer = &reply.answer;
    let Finding::Verification { result, .. } = &answer.finding else {
        return None;
    };
    Some(v1::VerifyBankCardResponse {
        verdict: verdict(answer.finding.verdict()?).into(),
        result: result_code(*result).into(),
        factors: self::factors(factors).into(),
        charge: charge(reply.charge).into(),
        source: source(reply.source).into(),
        provider: reply.provider.as_str().to_owned(),
        provider_code: answer.provider_code.as_str().to_owned(),
        provider_message: answer.provider_message.as_str().to_owned(),
        provider_request_id: answer.provider_request_id.as_str().to_owned(),
        answered_at: Some(timestamp(answer.answered_at)),
        attempts: reply.attempts.iter().map(attempt).collect(),
        luhn_valid,
    })
}

/// The reply to a question for card information. `None` when the answer is of another kind, which
/// no provider gives.
#[must_use]
pub fn card_info_reply(
    reply: Reply,
    luhn_valid: Option<bool>,
) -> Option<v1::QueryCardInfoResponse> {
    let answer: &Answer = &reply.answer;
    let Finding::CardInfo { result, facts } = &answer.finding else {
        return None;
    };
    Some(v1::QueryCardInfoResponse {
        result: card_info_result(*result).into(),
        bank_name: facts.bank_name.clone().into_owned(),
        bank_code: facts.bank_code.clone().into_owned(),
        card_type: facts
            .card_type
            .map_or(v1::CardType::Unspecified, card_type)
            .into(),
        network: facts
            .network
            .map_or(v1::CardNetwork::Unspecified, network)
            .into(),
        bin: facts.bin.clone().into_owned(),
        luhn_valid,
        charge: charge(reply.charge).into(),
        source: source(reply.source).into(),
        provider: reply.provider.as_str().to_owned(),
        provider_code: answer.provider_code.as_str().to_owned(),
        provider_message: answer.provider_message.as_str().to_owned(),
        provider_request_id: answer.provider_request_id.as_str().to_owned(),
        data_version: facts.data_version.clone().into_owned(),
        answered_at: Some(timestamp(answer.answered_at)),
        attempts: reply.attempts.iter().map(attempt).collect(),
        bank_name_en: facts.bank_name_en.clone().into_owned(),
    })
}

fn attempt(attempt: &Attempt) -> v1::Attempt {
    v1::Attempt {
        provider: attempt.provider.as_str().to_owned(),
        outcome: outcome(attempt.outcome).into(),
        charge: charge(attempt.charge).into(),
        latency: prost_types::Duration::try_from(attempt.latency).ok(),
        error_reason: attempt.error_reason.to_owned(),
    }
}

fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

const fn verdict(value: Verdict) -> v1::Verdict {
    use v1::Verdict as Wire;
    match value {
        Verdict::Match => Wire::Match,
        Verdict::Mismatch => Wire::Mismatch,
        Verdict::CardProblem => Wire::CardProblem,
        Verdict::InputRejected => Wire::InputRejected,
        Verdict::Inconclusive => Wire::Inconclusive,
    }
}

const fn result_code(value: ResultCode) -> v1::ResultCode {
    use v1::ResultCode as Wire;
    match value {
        ResultCode::Match => Wire::Match,
        ResultCode::Mismatch => Wire::Mismatch,
        ResultCode::CardholderInfoIncorrect => Wire::CardholderInfoIncorrect,
        ResultCode::PhoneNotRegistered => Wire::PhoneNotRegistered,
        ResultCode::CardCredentialsIncorrect => Wire::CardCredentialsIncorrect,
        ResultCode::CardlessPaymentNotEnabled => Wire::CardlessPaymentNotEnabled,
        ResultCode::CardConfiscated => Wire::CardConfiscated,
        ResultCode::CardNumberInvalid => Wire::CardNumberInvalid,
        ResultCode::NoIssuingBank => Wire::NoIssuingBank,
        ResultCode::CardUninitializedOrDormant => Wire::CardUninitializedOrDormant,
        ResultCode::CardFraudulentOrRetained => Wire::CardFraudulentOrRetained,
        ResultCode::CardReportedLost => Wire::CardReportedLost,
        ResultCode::CardExpired => Wire::CardExpired,
        ResultCode::CardRestricted => Wire::CardRestricted,
        ResultCode::PinAttemptsExceeded => Wire::PinAttemptsExceeded,
        ResultCode::CardStatusAbnormal => Wire::CardStatusAbnormal,
        ResultCode::CardOtherException => Wire::CardOtherException,
        ResultCode::NameInvalid => Wire::NameInvalid,
        ResultCode::IdNumberInvalid => Wire::IdNumberInvalid,
        ResultCode::CardNumberFormatInvalid => Wire::CardNumberFormatInvalid,
        ResultCode::PhoneInvalid => Wire::PhoneInvalid,
        ResultCode::IdentityTypeUnsupported => Wire::IdentityTypeUnsupported,
        ResultCode::IssuerUnsupported => Wire::IssuerUnsupported,
        ResultCode::CardUnsupported => Wire::CardUnsupported,
        ResultCode::BankRefused => Wire::BankRefused,
        ResultCode::PhoneVerificationUnsupported => Wire::PhoneVerificationUnsupported,
        ResultCode::Unverifiable => Wire::Unverifiable,
        ResultCode::ServiceBusy => Wire::ServiceBusy,
        ResultCode::AttemptsExceeded => Wire::AttemptsExceeded,
        ResultCode::UnknownProviderCode => Wire::UnknownProviderCode,
    }
}

const fn card_info_result(value: CardInfoResult) -> v1::CardInfoResult {
    use v1::CardInfoResult as Wire;
    match value {
        CardInfoResult::Found => Wire::Found,
        CardInfoResult::NoInformation => Wire::NoInformation,
        CardInfoResult::CardNotFound => Wire::CardNotFound,
        CardInfoResult::CardNumberInvalid => Wire::CardNumberInvalid,
        CardInfoResult::CardTypeUnsupported => Wire::CardTypeUnsupported,
        CardInfoResult::ServiceBusy => Wire::ServiceBusy,
        CardInfoResult::AttemptsExceeded => Wire::AttemptsExceeded,
        CardInfoResult::UnknownProviderCode => Wire::UnknownProviderCode,
    }
}

const fn factors(value: Factors) -> v1::Factors {
    use v1::Factors as Wire;
    match value {
        Factors::Two => Wire::Two,
        Factors::Three => Wire::Three,
        Factors::Four => Wire::Four,
    }
}

const fn charge(value: Charge) -> v1::Charge {
    use v1::Charge as Wire;
    match value {
        Charge::Charged => Wire::Charged,
        Charge::NotCharged => Wire::NotCharged,
        Charge::Unknown => Wire::Unknown,
    }
}

const fn source(value: Source) -> v1::Source {
    use v1::Source as Wire;
    match value {
        Source::Provider => Wire::Provider,
        Source::Cache => Wire::Cache,
        Source::SharedCache => Wire::SharedCache,
        Source::Embedded => Wire::Embedded,
    }
}

const fn outcome(value: AttemptOutcome) -> v1::AttemptOutcome {
    use v1::AttemptOutcome as Wire;
    match value {
        AttemptOutcome::Answered => Wire::Answered,
        AttemptOutcome::NotSent => Wire::NotSent,
        AttemptOutcome::Throttled => Wire::Throttled,
        AttemptOutcome::BreakerOpen => Wire::BreakerOpen,
        AttemptOutcome::Misconfigured => Wire::Misconfigured,
        AttemptOutcome::OutOfCredit => Wire::OutOfCredit,
        AttemptOutcome::BudgetSpent => Wire::BudgetSpent,
        AttemptOutcome::Refused => Wire::Refused,
        AttemptOutcome::OutcomeUnknown => Wire::OutcomeUnknown,
    }
}

const fn card_type(value: CardType) -> v1::CardType {
    use v1::CardType as Wire;
    match value {
        CardType::Debit => Wire::Debit,
        CardType::Credit => Wire::Credit,
        CardType::Prepaid => Wire::Prepaid,
        CardType::QuasiCredit => Wire::QuasiCredit,
    }
}

const fn network(value: CardNetwork) -> v1::CardNetwork {
    use v1::CardNetwork as Wire;
    match value {
        CardNetwork::UnionPay => Wire::Unionpay,
        CardNetwork::Visa => Wire::Visa,
        CardNetwork::Mastercard => Wire::Mastercard,
        CardNetwork::AmericanExpress => Wire::AmericanExpress,
        CardNetwork::Jcb => Wire::Jcb,
        CardNetwork::Discover => Wire::Discover,
        CardNetwork::DinersClub => Wire::DinersClub,
        CardNetwork::Maestro => Wire::Maestro,
        CardNetwork::Mir => Wire::Mir,
        CardNetwork::RuPay => Wire::Rupay,
        CardNetwork::Elo => Wire::Elo,
        CardNetwork::Hipercard => Wire::Hipercard,
        CardNetwork::Verve => Wire::Verve,
        CardNetwork::Troy => Wire::Troy,
        CardNetwork::Dankort => Wire::Dankort,
        CardNetwork::Uatp => Wire::Uatp,
        CardNetwork::LankaPay => Wire::Lankapay,
        CardNetwork::Gpn => Wire::Gpn,
        CardNetwork::Napas => Wire::Napas,
        CardNetwork::Uzcard => Wire::Uzcard,
        CardNetwork::Humo => Wire::Humo,
        CardNetwork::TUnion => Wire::TUnion,
        CardNetwork::Mada => Wire::Mada,
        CardNetwork::Carnet => Wire::Carnet,
        CardNetwork::Cabal => Wire::Cabal,
        CardNetwork::Naranja => Wire::Naranja,
        CardNetwork::UkrCard => Wire::Ukrcard,
    }
}
