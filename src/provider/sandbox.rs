//! The embedded test vendor: every answer and every failure on demand, for nothing.
//!
//! The card number alone decides. The documented numbers lie where no bank issues cards, so no
//! question about a real card can carry one, and everything else is unverifiable: the sandbox never
//! answers a real question. Answers are never charged.

mod table;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

pub use table::{Behaviour, SandboxRow};

use super::{CallContext, Capabilities, Provider, ProviderError, ProviderErrorKind};
use crate::domain::{
    Answer, CardFacts, CardInfoResult, CardInquiry, CardNetwork, CardType, Charge, Finding,
    IdentityType, Operation, ProviderMessage, ProviderName, ResultCode, VendorToken, Verification,
};

/// How long the slow number takes.
pub const SLOW: Duration = Duration::from_secs(3);
/// When a throttling sandbox says that it may be asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How far ahead the clock of a sandbox is that finds ours wrong.
const CLOCK_SKEW_SECONDS: i64 = 600;

/// Every documented number and what it does.
#[must_use]
pub const fn documented() -> &'static [SandboxRow] {
    table::ROWS
}

/// The embedded test vendor.
pub struct Sandbox {
    name: ProviderName,
}

impl Sandbox {
    /// A sandbox under a configured name.
    #[must_use]
    pub const fn new(name: ProviderName) -> Self {
        Self { name }
    }
}

/// What the sandbox does about a number; `None` for every number that is not documented.
fn behaviour_of(number: &str) -> Option<Behaviour> {
    documented()
        .iter()
        .find(|row| row.number == number)
        .map(|row| row.behaviour)
}

#[async_trait]
impl Provider for Sandbox {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none();
        for operation in Operation::ALL {
            capabilities = capabilities.with(*operation);
        }
        for identity in IdentityType::ALL {
            capabilities = capabilities.with_identity(*identity);
        }
        capabilities.embedded = true;
        capabilities
    }

    async fn verify(
        &self,
        question: &Verification,
        context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        let result = match behaviour_of(question.card.expose()) {
            Some(Behaviour::Verify(result)) => result,
            Some(Behaviour::Slow) => slow(context).await?,
            Some(Behaviour::Fails(kind)) => return Err(failure(kind)),
            Some(Behaviour::Info(_) | Behaviour::Found(_)) | None => ResultCode::Unverifiable,
        };
        Ok(answer(Finding::verified(result)))
    }

    async fn card_info(
        &self,
        question: &CardInquiry,
        _context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        let (result, facts) = match behaviour_of(question.card.expose()) {
            Some(Behaviour::Info(result)) => (result, CardFacts::default()),
            Some(Behaviour::Found(card_type)) => (CardInfoResult::Found, facts(card_type)),
            Some(Behaviour::Fails(kind)) => return Err(failure(kind)),
            Some(Behaviour::Verify(_) | Behaviour::Slow) | None => {
                (CardInfoResult::NoInformation, CardFacts::default())
            }
        };
        Ok(answer(Finding::CardInfo { result, facts }))
    }
}

/// Matches after a while, or runs into the provider's timeout as a call to a vendor would.
async fn slow(context: &CallContext) -> Result<ResultCode, ProviderError> {
    tokio::time::sleep(SLOW.min(context.timeout)).await;
    if context.timeout < SLOW {
        return Err(failure(ProviderErrorKind::OutcomeUnknown));
    }
    Ok(ResultCode::Match)
}

fn facts(card_type: CardType) -> CardFacts {
    CardFacts {
        bank_name: "沙盒银行".into(),
        bank_name_en: "Sandbox Bank".into(),
        bank_code: "SANDBOX".into(),
        card_type: Some(card_type),
        network: Some(CardNetwork::UnionPay),
        ..CardFacts::default()
    }
}

fn answer(finding: Finding) -> Answer {
    Answer {
        finding,
        charge: Charge::NotCharged,
        provider_code: VendorToken::default(),
        provider_message: ProviderMessage::None,
        provider_request_id: VendorToken::default(),
        answered_at: Timestamp::now(),
    }
}

fn failure(kind: ProviderErrorKind) -> ProviderError {
    let mut error = ProviderError::new(kind, "asked of the sandbox by its test number");
    match kind {
        ProviderErrorKind::Throttled => error.retry_after = Some(RETRY_AFTER),
        ProviderErrorKind::ClockSkewed => error.clock_skew_seconds = Some(CLOCK_SKEW_SECONDS),
        ProviderErrorKind::NotSent
        | ProviderErrorKind::Misconfigured
        | ProviderErrorKind::OutOfCredit
        | ProviderErrorKind::Refused
        | ProviderErrorKind::OutcomeUnknown
        | ProviderErrorKind::NonceReused => {}
    }
    error
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::{CardNumber, CardRef, PersonName, question::Proof};

    const CONTEXT: CallContext = CallContext {
        timeout: Duration::from_secs(8),
        attempt: 1,
    };

    fn sandbox() -> Sandbox {
        Sandbox::new(ProviderName::new("sandbox").unwrap())
    }

    fn verification(number: &str) -> Verification {
        Verification {
            card: CardNumber::parse(number).unwrap(),
            name: PersonName::parse("张三").unwrap(),
            proof: Proof::NameOnly,
        }
    }

    fn inquiry(number: &str) -> CardInquiry {
        CardInquiry {
            card: CardRef::parse(number).unwrap(),
        }
    }

    fn number_that(wanted: Behaviour) -> &'static str {
        let row = documented().iter().find(|row| row.behaviour == wanted);
        row.unwrap_or_else(|| panic!("no number for {wanted:?}"))
            .number
    }

    #[test]
    fn numbers_are_distinct_valid_and_nobodys() {
        let distinct: BTreeSet<_> = documented().iter().map(|row| row.number).collect();
        assert_eq!(distinct.len(), documented().len());
        for row in documented() {
            assert!(CardNumber::parse(row.number).unwrap().luhn_valid());
            assert!(row.number.len() == 16 && row.number.starts_with("620000"));
        }
    }

    #[tokio::test]
    async fn every_result_code_is_there_on_demand_and_free() {
        for result in ResultCode::ALL {
            let number = number_that(Behaviour::Verify(*result));
            let answer = sandbox().verify(&verification(number), &CONTEXT).await;
            let answer = answer.unwrap();
            assert_eq!(answer.finding, Finding::verified(*result));
            assert_eq!(answer.charge, Charge::NotCharged);
        }
    }

    #[tokio::test]
    async fn every_card_information_is_there_on_demand_and_free() {
        let shown = async |number| {
            let answer = sandbox()
                .card_info(&inquiry(number), &CONTEXT)
                .await
                .unwrap();
            assert_eq!(answer.charge, Charge::NotCharged);
            match answer.finding {
                Finding::CardInfo { result, facts } => (result, facts.card_type),
                Finding::Verification { .. } => panic!("not card information"),
            }
        };
        for result in CardInfoResult::ALL {
            if *result != CardInfoResult::Found {
                let number = number_that(Behaviour::Info(*result));
                assert_eq!(shown(number).await, (*result, None));
            }
        }
        for card_type in CardType::ALL {
            let number = number_that(Behaviour::Found(*card_type));
            let found = (CardInfoResult::Found, Some(*card_type));
            assert_eq!(shown(number).await, found);
        }
    }

    #[tokio::test]
    async fn every_failure_is_there_on_demand() {
        for kind in ProviderErrorKind::ALL {
            let number = number_that(Behaviour::Fails(*kind));
            let verified = sandbox().verify(&verification(number), &CONTEXT).await;
            let informed = sandbox().card_info(&inquiry(number), &CONTEXT).await;
            assert_eq!(verified.unwrap_err().kind, *kind);
            assert_eq!(informed.unwrap_err().kind, *kind);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_slow_number_takes_its_time() {
        let number = number_that(Behaviour::Slow);
        let started = tokio::time::Instant::now();
        let answer = sandbox().verify(&verification(number), &CONTEXT).await;
        assert_eq!(
            answer.unwrap().finding,
            Finding::verified(ResultCode::Match)
        );
        assert_eq!(started.elapsed(), SLOW);

        let impatient = CallContext {
            timeout: Duration::from_secs(1),
            attempt: 1,
        };
        let cut = sandbox().verify(&verification(number), &impatient).await;
        assert_eq!(cut.unwrap_err().kind, ProviderErrorKind::OutcomeUnknown);
    }

    #[test]
    fn it_can_do_everything_and_costs_nothing() {
        let capabilities = sandbox().capabilities();
        assert!(capabilities.embedded);
        assert!(Operation::ALL.iter().all(|it| capabilities.can(*it)));
        assert!(IdentityType::ALL.iter().all(|it| capabilities.accepts(*it)));
    }

    proptest! {
        #[test]
        fn any_other_number_is_unverifiable(number in "[0-9]{12,19}") {
            prop_assume!(documented().iter().all(|row| row.number != number));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (verified, informed) = runtime.block_on(async {
                let sandbox = sandbox();
                (
                    sandbox.verify(&verification(&number), &CONTEXT).await.unwrap(),
                    sandbox.card_info(&inquiry(&number), &CONTEXT).await.unwrap(),
                )
            });
            prop_assert_eq!(verified.finding, Finding::verified(ResultCode::Unverifiable));
            prop_assert_eq!(informed.finding.result_name(), "NO_INFORMATION");
        }
    }
}
