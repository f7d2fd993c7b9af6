//! What callers ask, parsed and normalised.

use super::{
    card::{CardNumber, CardRef},
    name::PersonName,
    person::{Identity, Phone},
    reason::vocabulary,
};

vocabulary! {
    /// How many things about a person are compared with the bank's data.
    Factors {
        /// Card and name.
        Two = "TWO",
        /// Card, name and ID number.
        Three = "THREE",
        /// Card, name, ID number and phone.
        Four = "FOUR",
    }
}

vocabulary! {
    /// What is asked of a vendor. Prices, breakers and result tables are kept by operation: the
    /// same code of the same vendor means different things in two of them.
    Operation {
        /// Verification of card and name.
        VerifyTwo = "verify_two",
        /// Verification of card, name and ID number.
        VerifyThree = "verify_three",
        /// Verification of card, name, ID number and phone.
        VerifyFour = "verify_four",
        /// Card information.
        CardInfo = "card_info",
    }
}

impl From<Factors> for Operation {
    fn from(factors: Factors) -> Self {
        match factors {
            Factors::Two => Self::VerifyTwo,
            Factors::Three => Self::VerifyThree,
            Factors::Four => Self::VerifyFour,
        }
    }
}

impl Operation {
    /// The factor count of a verification.
    #[must_use]
    pub const fn factors(self) -> Option<Factors> {
        match self {
            Self::VerifyTwo => Some(Factors::Two),
            Self::VerifyThree => Some(Factors::Three),
            Self::VerifyFour => Some(Factors::Four),
            Self::CardInfo => None,
        }
    }
}

/// Does this card belong to this person?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The card.
    pub card: CardNumber,
    /// The card holder's name.
    pub name: PersonName,
    /// What else is known about the card holder.
    pub proof: Proof,
}

/// What is given about a card holder beside the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: 2 factors.
    NameOnly,
    /// An identity document: 3 factors.
    Identity(Identity),
    /// An identity document and a phone: 4 factors.
    IdentityAndPhone(Identity, Phone),
}

impl Verification {
    /// How many factors are given.
    #[must_use]
    pub const fn factors(&self) -> Factors {
        match self.proof {
            Proof::NameOnly => Factors::Two,
            Proof::Identity(_) => Factors::Three,
            Proof::IdentityAndPhone(..) => Factors::Four,
        }
    }

    /// The identity document, if one is given.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        match &self.proof {
            Proof::NameOnly => None,
            Proof::Identity(identity) | Proof::IdentityAndPhone(identity, _) => Some(identity),
        }
    }

    /// The phone, if one is given.
    #[must_use]
    pub const fn phone(&self) -> Option<&Phone> {
        match &self.proof {
            Proof::NameOnly | Proof::Identity(_) => None,
            Proof::IdentityAndPhone(_, phone) => Some(phone),
        }
    }
}

/// What is this card?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardInquiry {
    /// The card, or its first digits.
    pub card: CardRef,
}

/// Anything that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Does this card belong to this person?
    Verify(Verification),
    /// What is this card?
    CardInfo(CardInquiry),
}

impl Question {
    /// What is asked of a vendor.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::Verify(verification) => verification.factors().into(),
            Self::CardInfo(_) => Operation::CardInfo,
        }
    }

    /// The card number or its first digits, for keyed digests only.
    #[must_use]
    pub fn expose_card(&self) -> &str {
        match self {
            Self::Verify(verification) => verification.card.expose(),
            Self::CardInfo(inquiry) => inquiry.card.expose(),
        }
    }

    /// Every value that identifies somebody; vendor text that contains one is dropped.
    pub fn expose_values(&self) -> impl Iterator<Item = &str> {
        let (card, verification) = match self {
            Self::Verify(verification) => (verification.card.expose(), Some(verification)),
            Self::CardInfo(inquiry) => (inquiry.card.expose(), None),
        };
        let name = verification.map(|it| it.name.expose());
        let id_number = verification
            .and_then(|it| it.identity())
            .map(Identity::expose);
        let phone = verification.and_then(|it| it.phone()).map(Phone::expose);
        [Some(card), name, id_number, phone].into_iter().flatten()
    }
}
