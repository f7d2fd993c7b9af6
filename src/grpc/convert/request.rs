//! From requests to questions: every value is parsed, every violation reported at once, and what a
//! message held is overwritten once it was read.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::civil::Date;
use tokio::time::Instant;
use uuid::Uuid;
use zeroize::Zeroize;

use crate::{
    config::LuhnPolicy,
    domain::{
        CardInquiry, CardNumber, CardRef, Field, Identity, IdentityType, InvalidInput, PersonName,
        Phone, ProviderName, Question, Verification, Violation, input::Malformed, question::Proof,
    },
    proto::bankcard::v1,
    service::ask::{Ask, CacheMode, Caller},
};

/// The longest consent reference.
const MAX_CONSENT_CHARS: usize = 64;

/// What reading a request needs to know beside the request.
pub struct Reading<'a> {
    /// Who asks.
    pub caller: &'a Arc<Caller>,
    /// The providers that there are.
    pub providers: &'a BTreeSet<ProviderName>,
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

impl Reading<'_> {
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
        let proof = self.proof(&request, &mut violations);
        let consent = consent(&request, &mut violations);
        let name = self.name(std::mem::take(&mut request.name), &mut violations);
        let question = match (card, name, proof) {
            (Some(card), Some(name), Some(proof)) => {
                Some(Question::Verify(Verification { card, name, proof }))
            }
            _ => None,
        };
        request.bank_card.zeroize();
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

    fn name(&self, raw: String, violations: &mut Violations) -> Option<PersonName> {
        if raw.is_empty() {
            violations.add(
                Field::Name,
                InvalidInput::Factors,
                "is required: a card and a name make 2 factors",
            );
            return None;
        }
        violations.take(Field::Name, InvalidInput::Name, PersonName::take(raw))
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
                caller: Arc::clone(self.caller),
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
        let name = self.providers.get(raw).cloned();
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
