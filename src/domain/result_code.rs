//! What answers mean, and what follows from each: one table that the compiler keeps exhaustive.

use super::reason::vocabulary;

vocabulary! {
    /// What to do with the answer to a verification.
    Verdict {
        /// The card belongs to the person.
        Match = "MATCH",
        /// It does not.
        Mismatch = "MISMATCH",
        /// The card itself cannot be used.
        CardProblem = "CARD_PROBLEM",
        /// The vendor refused the form of the data; the issuer was not asked.
        InputRejected = "INPUT_REJECTED",
        /// Nobody can tell.
        Inconclusive = "INCONCLUSIVE",
    }
}

vocabulary! {
    /// Everything that a vendor's answer to a verification can mean.
    ResultCode {
        /// Everything given belongs together.
        Match = "MATCH",
        /// At least one factor does not belong to the card.
        Mismatch = "MISMATCH",
        /// The issuer holds other card holder data.
        CardholderInfoIncorrect = "CARDHOLDER_INFO_INCORRECT",
        /// The phone is not registered for the card.
        PhoneNotRegistered = "PHONE_NOT_REGISTERED",
        /// The card credentials are wrong.
        CardCredentialsIncorrect = "CARD_CREDENTIALS_INCORRECT",
        /// Payments without the card present are not enabled.
        CardlessPaymentNotEnabled = "CARDLESS_PAYMENT_NOT_ENABLED",
        /// The card is to be confiscated.
        CardConfiscated = "CARD_CONFISCATED",
        /// The issuer does not know the number.
        CardNumberInvalid = "CARD_NUMBER_INVALID",
        /// The number leads to no bank.
        NoIssuingBank = "NO_ISSUING_BANK",
        /// Never activated, or dormant.
        CardUninitializedOrDormant = "CARD_UNINITIALIZED_OR_DORMANT",
        /// Marked as fraudulent, or retained by a machine.
        CardFraudulentOrRetained = "CARD_FRAUDULENT_OR_RETAINED",
        /// Reported lost.
        CardReportedLost = "CARD_REPORTED_LOST",
        /// Expired.
        CardExpired = "CARD_EXPIRED",
        /// Restricted.
        CardRestricted = "CARD_RESTRICTED",
        /// Locked after wrong PINs.
        PinAttemptsExceeded = "PIN_ATTEMPTS_EXCEEDED",
        /// Abnormal, or the number is wrong.
        CardStatusAbnormal = "CARD_STATUS_ABNORMAL",
        /// Some other problem of the card.
        CardOtherException = "CARD_OTHER_EXCEPTION",
        /// The form of the name was refused.
        NameInvalid = "NAME_INVALID",
        /// The form of the ID number was refused.
        IdNumberInvalid = "ID_NUMBER_INVALID",
        /// The form of the card number was refused.
        CardNumberFormatInvalid = "CARD_NUMBER_FORMAT_INVALID",
        /// The form of the phone was refused.
        PhoneInvalid = "PHONE_INVALID",
        /// The vendor does not verify this kind of document.
        IdentityTypeUnsupported = "IDENTITY_TYPE_UNSUPPORTED",
        /// The issuer does not take part.
        IssuerUnsupported = "ISSUER_UNSUPPORTED",
        /// The vendor cannot verify this card.
        CardUnsupported = "CARD_UNSUPPORTED",
        /// The bank refused to answer.
        BankRefused = "BANK_REFUSED",
        /// The bank does not verify phones.
        PhoneVerificationUnsupported = "PHONE_VERIFICATION_UNSUPPORTED",
        /// No record, or not verifiable.
        Unverifiable = "UNVERIFIABLE",
        /// The verification centre was busy; the issuer was not asked.
        ServiceBusy = "SERVICE_BUSY",
        /// The card was asked about too often.
        AttemptsExceeded = "ATTEMPTS_EXCEEDED",
        /// A code that is in no table, or that the vendor's own text contradicts.
        UnknownProviderCode = "UNKNOWN_PROVIDER_CODE",
    }
}

vocabulary! {
    /// Everything that a vendor's answer to a question for card information can mean.
    CardInfoResult {
        /// The issuer is known.
        Found = "FOUND",
        /// Nothing is known about the issuer.
        NoInformation = "NO_INFORMATION",
        /// There is no such card.
        CardNotFound = "CARD_NOT_FOUND",
        /// The number is invalid.
        CardNumberInvalid = "CARD_NUMBER_INVALID",
        /// The vendor does not answer for this kind of card.
        CardTypeUnsupported = "CARD_TYPE_UNSUPPORTED",
        /// The vendor was busy.
        ServiceBusy = "SERVICE_BUSY",
        /// The card was asked about too often.
        AttemptsExceeded = "ATTEMPTS_EXCEEDED",
        /// A code that is in no table.
        UnknownProviderCode = "UNKNOWN_PROVIDER_CODE",
    }
}

/// How sure the reading of a vendor's answer is.
///
/// A vendor whose published table may belong to another operation can send a code that reads as
/// one thing there and as another thing here, without any text that settles it. Such an answer
/// keeps its documented result for people, and counts as inconclusive for everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// The code means what the result says.
    Certain,
    /// It probably does: display it, decide nothing by it.
    Doubtful,
}

/// What an answer does to the counts that keep a card from being locked at its bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuardEffect {
    /// Counts a call and resets the mismatch count.
    Match,
    /// Counts a call and a mismatch.
    Mismatch,
    /// Counts a call.
    Call,
    /// The issuer was not asked: the reserved slots are given back.
    Nothing,
    /// The card has been asked about too often: close it.
    Close,
}

/// Whether another vendor may be asked after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailOver {
    /// No: the answer ends the question.
    Never,
    /// If the operator left `failover_on_unsupported` on.
    IfUnsupported,
    /// Yes: the issuer was not asked.
    Always,
}

/// How long an answer is kept: a key of `[cache.ttl_s]`, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keep {
    /// `match`
    Match,
    /// `mismatch`
    Mismatch,
    /// `card_problem`
    CardProblem,
    /// `input_rejected`
    InputRejected,
    /// `inconclusive`
    Inconclusive,
    /// `card_info`
    CardInfo,
    /// Never kept.
    Never,
}

impl ResultCode {
    /// What to do with the answer.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Match => Verdict::Match,
            Self::Mismatch
            | Self::CardholderInfoIncorrect
            | Self::PhoneNotRegistered
            | Self::CardCredentialsIncorrect => Verdict::Mismatch,
            Self::CardlessPaymentNotEnabled
            | Self::CardConfiscated
            | Self::CardNumberInvalid
            | Self::NoIssuingBank
            | Self::CardUninitializedOrDormant
            | Self::CardFraudulentOrRetained
            | Self::CardReportedLost
            | Self::CardExpired
            | Self::CardRestricted
            | Self::PinAttemptsExceeded
            | Self::CardStatusAbnormal
            | Self::CardOtherException => Verdict::CardProblem,
            Self::NameInvalid
            | Self::IdNumberInvalid
            | Self::CardNumberFormatInvalid
            | Self::PhoneInvalid
            | Self::IdentityTypeUnsupported => Verdict::InputRejected,
            Self::IssuerUnsupported
            | Self::CardUnsupported
            | Self::BankRefused
            | Self::PhoneVerificationUnsupported
            | Self::Unverifiable
            | Self::ServiceBusy
            | Self::AttemptsExceeded
            | Self::UnknownProviderCode => Verdict::Inconclusive,
        }
    }

    /// What the answer does to the guard's counts.
    #[must_use]
    pub const fn guard_effect(self) -> GuardEffect {
        match self.verdict() {
            Verdict::Match => GuardEffect::Match,
            Verdict::Mismatch => GuardEffect::Mismatch,
            Verdict::CardProblem => GuardEffect::Call,
            Verdict::InputRejected => GuardEffect::Nothing,
            Verdict::Inconclusive => match self {
                Self::ServiceBusy => GuardEffect::Nothing,
                Self::AttemptsExceeded => GuardEffect::Close,
                Self::UnknownProviderCode => GuardEffect::Mismatch,
                _ => GuardEffect::Call,
            },
        }
    }

    /// Whether another vendor may be asked after it.
    #[must_use]
    pub const fn fail_over(self) -> FailOver {
        match self {
            Self::ServiceBusy => FailOver::Always,
            Self::IssuerUnsupported | Self::CardUnsupported => FailOver::IfUnsupported,
            _ => FailOver::Never,
        }
    }

    /// How long the answer is kept.
    #[must_use]
    pub const fn keep(self) -> Keep {
        match self.verdict() {
            Verdict::Match => Keep::Match,
            Verdict::Mismatch => Keep::Mismatch,
            Verdict::CardProblem => Keep::CardProblem,
            Verdict::InputRejected => Keep::InputRejected,
            Verdict::Inconclusive => match self {
                Self::ServiceBusy | Self::AttemptsExceeded => Keep::Never,
                _ => Keep::Inconclusive,
            },
        }
    }
}

impl CardInfoResult {
    /// What the answer does to the count of card-information calls.
    #[must_use]
    pub const fn guard_effect(self) -> GuardEffect {
        match self {
            Self::ServiceBusy => GuardEffect::Nothing,
            Self::AttemptsExceeded => GuardEffect::Close,
            Self::Found
            | Self::NoInformation
            | Self::CardNotFound
            | Self::CardNumberInvalid
            | Self::CardTypeUnsupported
            | Self::UnknownProviderCode => GuardEffect::Call,
        }
    }

    /// Whether another vendor may be asked after it.
    #[must_use]
    pub const fn fail_over(self) -> FailOver {
        match self {
            Self::ServiceBusy => FailOver::Always,
            Self::CardTypeUnsupported => FailOver::IfUnsupported,
            Self::Found
            | Self::NoInformation
            | Self::CardNotFound
            | Self::CardNumberInvalid
            | Self::AttemptsExceeded
            | Self::UnknownProviderCode => FailOver::Never,
        }
    }

    /// How long the answer is kept.
    #[must_use]
    pub const fn keep(self) -> Keep {
        match self {
            Self::Found | Self::NoInformation | Self::CardNotFound | Self::CardNumberInvalid => {
                Keep::CardInfo
            }
            Self::CardTypeUnsupported | Self::UnknownProviderCode => Keep::Inconclusive,
            Self::ServiceBusy | Self::AttemptsExceeded => Keep::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published table, by hand: result, verdict, effect on the guard.
    const TABLE: &[(&str, &[&str], GuardEffect)] = &[
        ("MATCH", &["MATCH"], GuardEffect::Match),
        (
            "MISMATCH",
            &[
                "MISMATCH",
                "CARDHOLDER_INFO_INCORRECT",
                "PHONE_NOT_REGISTERED",
                "CARD_CREDENTIALS_INCORRECT",
            ],
            GuardEffect::Mismatch,
        ),
        (
            "CARD_PROBLEM",
            &[
                "CARDLESS_PAYMENT_NOT_ENABLED",
                "CARD_CONFISCATED",
                "CARD_NUMBER_INVALID",
                "NO_ISSUING_BANK",
                "CARD_UNINITIALIZED_OR_DORMANT",
                "CARD_FRAUDULENT_OR_RETAINED",
                "CARD_REPORTED_LOST",
                "CARD_EXPIRED",
                "CARD_RESTRICTED",
                "PIN_ATTEMPTS_EXCEEDED",
                "CARD_STATUS_ABNORMAL",
                "CARD_OTHER_EXCEPTION",
            ],
            GuardEffect::Call,
        ),
        (
            "INPUT_REJECTED",
            &[
                "NAME_INVALID",
                "ID_NUMBER_INVALID",
                "CARD_NUMBER_FORMAT_INVALID",
                "PHONE_INVALID",
                "IDENTITY_TYPE_UNSUPPORTED",
            ],
            GuardEffect::Nothing,
        ),
        (
            "INCONCLUSIVE",
            &[
                "ISSUER_UNSUPPORTED",
                "CARD_UNSUPPORTED",
                "BANK_REFUSED",
                "PHONE_VERIFICATION_UNSUPPORTED",
                "UNVERIFIABLE",
            ],
            GuardEffect::Call,
        ),
        ("INCONCLUSIVE", &["SERVICE_BUSY"], GuardEffect::Nothing),
        ("INCONCLUSIVE", &["ATTEMPTS_EXCEEDED"], GuardEffect::Close),
        (
            "INCONCLUSIVE",
            &["UNKNOWN_PROVIDER_CODE"],
            GuardEffect::Mismatch,
        ),
    ];

    #[test]
    fn the_table_is_the_published_one() {
        let rows: Vec<_> = TABLE
            .iter()
            .flat_map(|(verdict, codes, guard)| {
                codes.iter().map(move |code| (*code, *verdict, *guard))
            })
            .collect();
        assert_eq!(rows.len(), ResultCode::ALL.len());
        for (code, (name, verdict, guard)) in ResultCode::ALL.iter().zip(rows) {
            assert_eq!(code.as_str(), name);
            assert_eq!(code.verdict().as_str(), verdict, "{name}");
            assert_eq!(code.guard_effect(), guard, "{name}");
        }
    }

    #[test]
    fn only_what_the_issuer_was_not_asked_or_cannot_answer_may_fail_over() {
        let may: Vec<_> = ResultCode::ALL
            .iter()
            .filter(|code| code.fail_over() != FailOver::Never)
            .map(|code| code.as_str())
            .collect();
        assert_eq!(
            may,
            ["ISSUER_UNSUPPORTED", "CARD_UNSUPPORTED", "SERVICE_BUSY"]
        );
    }
}
