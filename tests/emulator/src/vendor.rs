//! The words the emulator counts in: who was asked, what, and what it would have cost.

use serde::{Deserialize, Serialize};

/// One of the three vendors that the emulator plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vendor {
    /// Ace Data Cloud, told by its path `/identity/...`.
    Ace,
    /// Tencent Cloud FaceID, told by `X-TC-Action` or a `TC3-` authorization.
    Tencent,
    /// Alibaba Cloud ID Verification, told by `x-acs-action` or an `ACS3-` authorization.
    Alibaba,
}

impl Vendor {
    /// All vendors, in a fixed order.
    pub const ALL: [Vendor; 3] = [Vendor::Ace, Vendor::Tencent, Vendor::Alibaba];

    /// The name used in JSON: `ace`, `tencent`, `alibaba`.
    pub fn as_str(self) -> &'static str {
        match self {
            Vendor::Ace => "ace",
            Vendor::Tencent => "tencent",
            Vendor::Alibaba => "alibaba",
        }
    }
}

/// What was asked, in words that all vendors share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Card and name.
    Two,
    /// Card, name and ID number.
    Three,
    /// Card, name, ID number and phone.
    Four,
    /// Issuing bank and card type of a card number.
    CardInfo,
    /// Alibaba's `KeepaliveIntl`, which asks nothing and costs nothing.
    Probe,
    /// Nothing that the vendor knows.
    Unknown,
}

impl Operation {
    /// The name used in JSON: `two`, `three`, `four`, `card_info`, `probe`, `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Two => "two",
            Operation::Three => "three",
            Operation::Four => "four",
            Operation::CardInfo => "card_info",
            Operation::Probe => "probe",
            Operation::Unknown => "unknown",
        }
    }
}

/// What a call would have cost at the real vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// The call ran and its result is a charged one, or it ran and its answer was cut off.
    Yes,
    /// The call was refused, or its result is a free one.
    No,
    /// Nobody can say: an unlisted result code, a raw reply or an internal error.
    Unknown,
}

impl Charge {
    /// The name used in JSON: `yes`, `no`, `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Charge::Yes => "yes",
            Charge::No => "no",
            Charge::Unknown => "unknown",
        }
    }
}
