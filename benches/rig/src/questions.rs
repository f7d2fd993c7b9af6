//! Questions without end: they differ in the card alone, so that one body serves for all of them.

use cardproof::{
    domain::{
        CardNumber, Identity, IdentityType, PersonName, Phone, Verification, question::Proof,
    },
    proto::bankcard::v1::{QueryCardInfoRequest, VerifyBankCardRequest},
};
use clap::ValueEnum;
use jiff::civil::date;
use prost::Message;

/// The digits of a card's place in line.
const PLACE_DIGITS: usize = 9;
/// A card of a bank, its place in line, and three zeros: the emulator answers those with a match.
const CARD: &str = "6228000000000000";
/// Where the place begins in the card.
const PLACE_AT: usize = 4;

/// The card holder of every question: the example of GB 11643.
pub const NAME: &str = "张三";
/// The same person's number.
pub const ID_NUMBER: &str = "11010519491231002X";
/// The same person's phone.
pub const PHONE: &str = "13800138000";

const MALFORMED: &str = "the question of the benchmark is malformed";

/// The card holder as the service reads it, with the proof of four factors.
pub struct Holder {
    name: PersonName,
    proof: Proof,
}

impl Holder {
    /// Reads it.
    ///
    /// # Errors
    /// When a value is malformed.
    pub fn new() -> Result<Self, &'static str> {
        let malformed = |_| MALFORMED;
        let identity = Identity::parse(IdentityType::ResidentId, ID_NUMBER, date(2026, 1, 1));
        let phone = Phone::parse(PHONE).map_err(malformed)?;
        Ok(Self {
            name: PersonName::parse(NAME).map_err(malformed)?,
            proof: Proof::IdentityAndPhone(identity.map_err(malformed)?, phone),
        })
    }

    /// Whether a card is the holder's.
    ///
    /// # Errors
    /// When the card is malformed.
    pub fn holds(&self, card: &str) -> Result<Verification, &'static str> {
        Ok(Verification {
            card: CardNumber::parse(card).map_err(|_| MALFORMED)?,
            name: self.name.clone(),
            proof: self.proof.clone(),
        })
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Does the card belong to the person? With four factors.
    Verify,
    /// What is the card? Answered from the embedded table.
    CardInfo,
}

impl Kind {
    /// The method's path.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Verify => "/bankcard.v1.BankCardService/VerifyBankCard",
            Self::CardInfo => "/bankcard.v1.BankCardService/QueryCardInfo",
        }
    }

    fn message(self) -> Vec<u8> {
        match self {
            Self::Verify => VerifyBankCardRequest {
                bank_card: CARD.to_owned(),
                name: NAME.to_owned(),
                id_number: ID_NUMBER.to_owned(),
                phone: PHONE.to_owned(),
                ..VerifyBankCardRequest::default()
            }
            .encode_to_vec(),
            Self::CardInfo => QueryCardInfoRequest {
                bank_card: CARD.to_owned(),
                ..QueryCardInfoRequest::default()
            }
            .encode_to_vec(),
        }
    }
}

/// Makes the bodies.
#[derive(Debug, Clone)]
pub struct Questions {
    body: Vec<u8>,
    place_at: usize,
}

impl Questions {
    /// Questions of a kind.
    ///
    /// # Panics
    /// Never: every message carries the card.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        let message = kind.message();
        let length = u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let body = [&[0], &length[..], &message].concat();
        let card_at = body
            .windows(CARD.len())
            .position(|window| window == CARD.as_bytes())
            .unwrap_or_default();
        Self {
            body,
            place_at: card_at + PLACE_AT,
        }
    }

    /// The body of the question about the card at a place in line, with its gRPC prefix.
    pub fn body(&mut self, place: u64) -> &[u8] {
        let mut rest = place;
        for digit in self.body[self.place_at..self.place_at + PLACE_DIGITS]
            .iter_mut()
            .rev()
        {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        &self.body
    }
}

/// The card at a place in line.
#[must_use]
pub fn card_at(place: u64) -> String {
    format!("6228{place:09}000")
}
