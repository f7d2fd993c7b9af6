//! What kind of card a number belongs to: how it is funded, and whose network carries it.

use super::reason::vocabulary;

vocabulary! {
    /// What kind of account stands behind a card.
    CardType {
        /// Pays from the holder's account (储蓄卡, 借记卡).
        Debit = "DEBIT",
        /// Pays from credit granted by the bank (信用卡, 贷记卡).
        Credit = "CREDIT",
        /// Pays from a sum paid in beforehand (预付费卡).
        Prepaid = "PREPAID",
        /// A mainland China card that pays from a deposit first, then from credit (准贷记卡).
        QuasiCredit = "QUASI_CREDIT",
    }
}

vocabulary! {
    /// The network whose number range a card was issued in.
    ///
    /// A card with two brands counts as one of the network that owns its range: a mainland China
    /// card in the range of Visa is `Visa` although UnionPay carries it at home.
    CardNetwork {
        /// UnionPay (银联), mainland China and worldwide.
        UnionPay = "UNIONPAY",
        /// Visa, worldwide; Visa Electron and V PAY included.
        Visa = "VISA",
        /// Mastercard, worldwide.
        Mastercard = "MASTERCARD",
        /// American Express, worldwide.
        AmericanExpress = "AMERICAN_EXPRESS",
        /// JCB, Japan and worldwide.
        Jcb = "JCB",
        /// Discover, the United States and worldwide.
        Discover = "DISCOVER",
        /// Diners Club International.
        DinersClub = "DINERS_CLUB",
        /// Maestro, debit cards of Mastercard.
        Maestro = "MAESTRO",
        /// Mir (Мир), Russia.
        Mir = "MIR",
        /// RuPay, India.
        RuPay = "RUPAY",
        /// Elo, Brazil.
        Elo = "ELO",
        /// Hipercard and Hiper, Brazil.
        Hipercard = "HIPERCARD",
        /// Verve, Nigeria.
        Verve = "VERVE",
        /// Troy, Türkiye.
        Troy = "TROY",
        /// Dankort, Denmark.
        Dankort = "DANKORT",
        /// UATP, the travel cards of the airlines.
        Uatp = "UATP",
        /// LankaPay, Sri Lanka.
        LankaPay = "LANKAPAY",
        /// GPN (Gerbang Pembayaran Nasional), Indonesia.
        Gpn = "GPN",
        /// NAPAS, Vietnam.
        Napas = "NAPAS",
        /// Uzcard, Uzbekistan.
        Uzcard = "UZCARD",
        /// Humo, Uzbekistan.
        Humo = "HUMO",
        /// China T-Union (交通联合), the transit cards of mainland China.
        TUnion = "T_UNION",
        /// mada, Saudi Arabia.
        Mada = "MADA",
        /// Carnet, Mexico.
        Carnet = "CARNET",
        /// Cabal, Argentina.
        Cabal = "CABAL",
        /// Naranja, Argentina.
        Naranja = "NARANJA",
        /// UkrCard, Ukraine.
        UkrCard = "UKRCARD",
    }
}

impl CardType {
    /// The card type with this [`as_str`](Self::as_str) name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|card_type| card_type.as_str() == name)
    }
}

impl CardNetwork {
    /// The network with this [`as_str`](Self::as_str) name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|network| network.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_screaming_snake(name: &str) -> bool {
        let is_word =
            |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
        name.split('_').all(is_word)
    }

    #[test]
    fn every_card_type_has_a_name_of_its_own_that_leads_back_to_it() {
        for card_type in CardType::ALL {
            assert!(is_screaming_snake(card_type.as_str()));
            assert_eq!(CardType::from_name(card_type.as_str()), Some(*card_type));
        }
        assert_eq!(CardType::from_name("debit"), None);
    }

    #[test]
    fn every_network_has_a_name_of_its_own_that_leads_back_to_it() {
        for network in CardNetwork::ALL {
            assert!(is_screaming_snake(network.as_str()));
            assert_eq!(CardNetwork::from_name(network.as_str()), Some(*network));
        }
        assert_eq!(CardNetwork::from_name(""), None);
    }
}
