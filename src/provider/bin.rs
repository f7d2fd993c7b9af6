//! The embedded BIN table: who issued a card, what kind it is and whose network carries it, by the number alone.
//!
//! `data/README.md` tells where the data comes from and how it is brought up to date.

#[rustfmt::skip]
mod generated;
mod network;
mod overlay;
mod table;

use std::borrow::Cow;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{CallContext, Capabilities, Provider, ProviderError};
use crate::domain::{
    Answer, CardFacts, CardInfoResult, CardInquiry, Charge, Finding, Operation, ProviderMessage,
    ProviderName, VendorToken, Verification,
};

pub use overlay::{OverlayDefect, OverlayProblem};
pub use table::{BinEntry, BinLookup, BinTable, DATA_VERSION};

/// The embedded table in the place of a vendor: answers at once and costs nothing.
pub struct BinProvider {
    name: ProviderName,
    table: &'static BinTable,
}

impl BinProvider {
    /// Serves a table, which is kept for as long as the process lives, so that answers can point
    /// into it instead of copying its texts.
    #[must_use]
    pub fn new(name: ProviderName, table: BinTable) -> Self {
        Self {
            name,
            table: Box::leak(Box::new(table)),
        }
    }

    fn answer(&self, question: &CardInquiry) -> Answer {
        let digits = question.card.expose();
        let data_version = Cow::Borrowed(self.table.data_version());
        let (result, facts) = match self.table.lookup(digits.as_bytes()) {
            BinLookup::Found(entry) => (
                CardInfoResult::Found,
                CardFacts {
                    bank_name: Cow::Borrowed(entry.bank_name),
                    bank_name_en: Cow::Borrowed(entry.bank_name_en),
                    bank_code: Cow::Borrowed(entry.bank_code),
                    card_type: entry.card_type,
                    network: entry.network,
                    bin: digits
                        .get(..entry.prefix_length)
                        .unwrap_or_default()
                        .to_owned()
                        .into(),
                    data_version,
                },
            ),
            BinLookup::NetworkOnly(network) => (
                CardInfoResult::NoInformation,
                CardFacts {
                    network: Some(network),
                    data_version,
                    ..CardFacts::default()
                },
            ),
            BinLookup::Unknown => (
                CardInfoResult::NoInformation,
                CardFacts {
                    data_version,
                    ..CardFacts::default()
                },
            ),
        };
        Answer {
            finding: Finding::CardInfo { result, facts },
            charge: Charge::NotCharged,
            provider_code: VendorToken::default(),
            provider_message: ProviderMessage::None,
            provider_request_id: VendorToken::default(),
            answered_at: Timestamp::now(),
        }
    }
}

#[async_trait]
impl Provider for BinProvider {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            card_prefix: true,
            embedded: true,
            ..Capabilities::none().with(Operation::CardInfo)
        }
    }

    async fn verify(
        &self,
        _question: &Verification,
        _context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        Err(ProviderError::cannot(
            "a table of card numbers knows no card holders",
        ))
    }

    async fn card_info(
        &self,
        question: &CardInquiry,
        _context: &CallContext,
    ) -> Result<Answer, ProviderError> {
        Ok(self.answer(question))
    }

    fn card_info_now(&self, question: &CardInquiry) -> Option<Answer> {
        Some(self.answer(question))
    }
}
