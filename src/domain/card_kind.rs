//! Kinds of cards.

use super::reason::vocabulary;

vocabulary! {
    /// What kind of account stands behind a card.
    CardType {
        /// Pays from the holder's account.
        Debit = "DEBIT",
        /// Pays from credit granted by the bank.
        Credit = "CREDIT",
        /// Pays from a sum paid in beforehand.
        Prepaid = "PREPAID",
        /// A mainland China card that pays from a deposit first, then from credit.
        QuasiCredit = "QUASI_CREDIT",
    }
}

vocabulary! {
    /// Which network a card is of.
    CardNetwork {
        /// UnionPay.
        UnionPay = "UNIONPAY",
        /// Visa.
        Visa = "VISA",
        /// Mastercard.
        Mastercard = "MASTERCARD",
        /// American Express.
        AmericanExpress = "AMERICAN_EXPRESS",
        /// JCB.
        Jcb = "JCB",
        /// Discover.
        Discover = "DISCOVER",
        /// Diners Club.
        DinersClub = "DINERS_CLUB",
        /// Maestro.
        Maestro = "MAESTRO",
        /// Mir.
        Mir = "MIR",
        /// RuPay.
        RuPay = "RUPAY",
        /// Elo.
        Elo = "ELO",
    }
}
