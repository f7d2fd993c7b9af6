//! The lookup: embedded rows, and the operator's rows over them.
//!
//! # The rule for a full number (12 to 19 digits)
//! Among the rows for cards of exactly this length whose prefix begins the number, the one with the longest prefix
//! answers; at the same prefix the operator's row goes before the embedded one. Both parts of the key matter: the same
//! prefix belongs to different banks by card length (622305 is ICBC with 18 digits and Bank of Nanjing with 16). A
//! number without a row has no issuer, but may have a network by the published ranges.
//!
//! # The rule for a prefix (6 to 11 digits)
//! A prefix stands for all full numbers that begin with it, of every length, and an answer for it has to be right for
//! each of them that has an answer. So all rows that one of those numbers could find take part: for each card length
//! the row with the longest prefix among those that begin the digits, and every row whose prefix continues the digits.
//! - If they agree on issuer and card type, that is the answer. Numbers under the prefix that no row covers (another
//!   length, another continuation) have no answer that could contradict it.
//! - If they do not agree, nothing is said about the issuer: a guess would be wrong for somebody.
//! - A network is named, beside the issuer or alone, only if every number under the prefix that has a network has this
//!   one, those without a row included. So 436742 is known as China Construction Bank but without a network: its
//!   19-digit cards are UnionPay cards, while a 16-digit number in that range would be a Visa.
//!
//! A row that could only be found by numbers that longer rows share out among themselves without a gap takes part all
//! the same; that can withhold an answer, never make one wrong.
//!
//! # Cost
//! The embedded rows are constant arrays in the binary: nothing is parsed or allocated at start, and a lookup is a
//! handful of binary searches that allocates nothing.

use std::ops::Range;

use super::generated;
use super::network;
use super::overlay::{Overlay, OverlayProblem};
use crate::domain::{CardNetwork, CardType};

/// Names the embedded data: the source with its version, and the date of the table.
pub const DATA_VERSION: &str = generated::DATA_VERSION;

/// Shortest card number in digits.
pub(super) const CARD_LENGTH_MIN: usize = 12;
/// Longest card number in digits.
pub(super) const CARD_LENGTH_MAX: usize = 19;
/// How many card lengths there are.
pub(super) const CARD_LENGTHS: usize = CARD_LENGTH_MAX - CARD_LENGTH_MIN + 1;
/// Fewest digits a lookup accepts: a classic BIN.
const QUERY_DIGITS_MIN: usize = 6;
/// Shortest row prefix, embedded or the operator's.
pub(super) const PREFIX_DIGITS_MIN: usize = 3;
/// Longest row prefix: one digit less than the shortest card. The embedded ones end at ten.
pub(super) const PREFIX_DIGITS_MAX: usize = CARD_LENGTH_MIN - 1;

/// An issuer of the embedded table.
pub(super) struct Issuer {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    pub(super) name_en: &'static str,
}

/// A row of the embedded table; the length of its prefix is that of its group.
pub(super) struct Row {
    pub(super) prefix: u64,
    pub(super) issuer: u16,
    pub(super) card_length: u8,
    pub(super) card_type: CardType,
    pub(super) network: CardNetwork,
}

/// What the table knows about the issuer of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinEntry<'a> {
    /// How many leading digits of the number asked about the answer rests on: the row's prefix, or the part that all
    /// rows taking part have in common. Never more than were asked about.
    pub prefix_length: usize,
    /// Short code of the issuer (ICBC, ABC, CMB…); empty only where an operator's row has none.
    pub bank_code: &'a str,
    /// Name of the issuer in Chinese.
    pub bank_name: &'a str,
    /// Name of the issuer in English, empty when unknown.
    pub bank_name_en: &'a str,
    /// Kind of card; `None` only where an operator's row has none.
    pub card_type: Option<CardType>,
    /// Network of the card; `None` when it is unknown or not the same for all numbers asked about.
    pub network: Option<CardNetwork>,
}

impl BinEntry<'_> {
    /// Whether both say the same about issuer and card type.
    fn agrees_with(&self, other: &Self) -> bool {
        self.bank_code == other.bank_code
            && self.bank_name == other.bank_name
            && self.bank_name_en == other.bank_name_en
            && self.card_type == other.card_type
    }
}

/// The answer of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinLookup<'a> {
    /// The issuer is known, and the same for every number asked about.
    Found(BinEntry<'a>),
    /// The issuer is unknown or ambiguous, the network is certain.
    NetworkOnly(CardNetwork),
    /// Neither is known for certain.
    Unknown,
}

/// The embedded table, with the operator's rows over it if there are any.
#[derive(Debug, Default)]
pub struct BinTable {
    overlay: Option<Overlay>,
}

impl BinTable {
    /// The embedded table alone. Costs nothing.
    #[must_use]
    pub const fn embedded() -> Self {
        Self { overlay: None }
    }

    /// The embedded table under the rows of the CSV text `csv`.
    ///
    /// The text has a header naming the columns `prefix`, `length`, `bank_code`, `bank_name`, `bank_name_en`,
    /// `card_type` and `network` in any order. `prefix` is 3 to 11 digits, `length` the card length of 12 to 19 digits;
    /// the pair must not occur twice. `bank_name` is required; the others may be empty: an empty `network` is taken
    /// from the published ranges. `card_type` and `network` are [`CardType::as_str`] and [`CardNetwork::as_str`] names.
    ///
    /// # Errors
    /// One problem per bad line, in the order of the lines; the table is taken as a whole or not at all.
    pub fn with_overlay(csv: &str) -> Result<Self, Vec<OverlayProblem>> {
        Ok(Self {
            overlay: Some(Overlay::parse(csv)?),
        })
    }

    /// Names the data behind the answers: [`DATA_VERSION`], and with an overlay a digest of its text.
    #[must_use]
    pub fn data_version(&self) -> &str {
        self.overlay
            .as_ref()
            .map_or(DATA_VERSION, Overlay::data_version)
    }

    /// How many rows the operator's overlay has.
    #[must_use]
    pub fn overlay_rows(&self) -> usize {
        self.overlay.as_ref().map_or(0, Overlay::len)
    }

    /// What is known about a card number, or about all card numbers that begin with `digits`.
    ///
    /// `digits` are ASCII digits: 12 to 19 of them are a full number, 6 to 11 a prefix; the module's documentation
    /// states the rule for each. Anything else is [`BinLookup::Unknown`].
    #[must_use]
    pub fn lookup(&self, digits: &[u8]) -> BinLookup<'_> {
        let Some(query) = Query::parse(digits) else {
            return BinLookup::Unknown;
        };
        if query.length >= CARD_LENGTH_MIN {
            self.full_number(query)
        } else {
            self.all_under(query)
        }
    }

    fn full_number(&self, query: Query) -> BinLookup<'_> {
        let row = (PREFIX_DIGITS_MIN..=PREFIX_DIGITS_MAX)
            .rev()
            .find_map(|prefix_length| {
                let prefix = query.leading(prefix_length);
                let overlay = self.overlay.as_ref();
                overlay
                    .and_then(|overlay| overlay.row(prefix_length, prefix, query.length))
                    .or_else(|| embedded_row(prefix_length, prefix, query.length))
            });
        if let Some(entry) = row {
            return BinLookup::Found(entry);
        }
        network::of_number(query.leading(network::KEY_DIGITS), query.length)
            .map_or(BinLookup::Unknown, BinLookup::NetworkOnly)
    }

    fn all_under(&self, query: Query) -> BinLookup<'_> {
        let mut issuer = Agreement::NoRow;
        let mut network = NetworkAgreement::Silence;

        // Which card lengths have a row for every number under the prefix: the longest one decides, so it comes first.
        let mut decided = [false; CARD_LENGTHS];
        for prefix_length in (PREFIX_DIGITS_MIN..=query.length).rev() {
            let prefix = query.leading(prefix_length);
            self.for_each_row(prefix_length, prefix..prefix + 1, |card_length, entry| {
                let index = card_length.saturating_sub(CARD_LENGTH_MIN);
                if let Some(decided @ false) = decided.get_mut(index) {
                    *decided = true;
                    issuer.add(entry);
                    network.add(entry.network);
                }
            });
        }
        for prefix_length in query.length + 1..=PREFIX_DIGITS_MAX {
            let width = 10_u64.pow((prefix_length - query.length) as u32);
            let continuations = query.value * width..(query.value + 1) * width;
            self.for_each_row(prefix_length, continuations, |_, entry| {
                issuer.add(BinEntry {
                    prefix_length: query.length,
                    ..entry
                });
                network.add(entry.network);
            });
        }
        for segment in network::under_prefix(query.value, query.length) {
            for (by_range, decided) in segment.networks.iter().zip(decided) {
                // A number without a network contradicts nobody.
                if !decided && by_range.is_some() {
                    network.add(*by_range);
                }
            }
        }

        match (issuer, network.certain()) {
            (Agreement::On(entry), network) => BinLookup::Found(BinEntry { network, ..entry }),
            (_, Some(network)) => BinLookup::NetworkOnly(network),
            (_, None) => BinLookup::Unknown,
        }
    }

    /// Visits every row with a prefix of `prefix_length` digits in `prefixes`, together with its card length: the
    /// operator's, then those embedded ones that none of them hides.
    fn for_each_row<'a>(
        &'a self,
        prefix_length: usize,
        prefixes: Range<u64>,
        mut visit: impl FnMut(usize, BinEntry<'a>),
    ) {
        let overlay = self.overlay.as_ref();
        if let Some(overlay) = overlay {
            overlay
                .rows(prefix_length, prefixes.clone())
                .for_each(|(card_length, entry)| visit(card_length, entry));
        }
        for row in embedded_rows(prefix_length, prefixes) {
            let card_length = usize::from(row.card_length);
            let hidden = overlay.is_some_and(|overlay| {
                overlay
                    .row(prefix_length, row.prefix, card_length)
                    .is_some()
            });
            if let (false, Some(entry)) = (hidden, entry_of(row, prefix_length)) {
                visit(card_length, entry);
            }
        }
    }
}

/// The digits of a lookup as a number.
#[derive(Clone, Copy)]
struct Query {
    value: u64,
    length: usize,
}

impl Query {
    fn parse(digits: &[u8]) -> Option<Self> {
        let length = digits.len();
        if !(QUERY_DIGITS_MIN..=CARD_LENGTH_MAX).contains(&length)
            || !digits.iter().all(u8::is_ascii_digit)
        {
            return None;
        }
        // Nineteen digits fit into 64 bits.
        let value = digits
            .iter()
            .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        Some(Self { value, length })
    }

    /// The first `count` digits; `count` is at most the length.
    fn leading(self, count: usize) -> u64 {
        self.value / 10_u64.pow(self.length.saturating_sub(count) as u32)
    }
}

/// What the rows taking part in the answer for a prefix say about issuer and card type.
enum Agreement<'a> {
    NoRow,
    On(BinEntry<'a>),
    Disagreement,
}

impl<'a> Agreement<'a> {
    fn add(&mut self, entry: BinEntry<'a>) {
        match self {
            Self::NoRow => *self = Self::On(entry),
            Self::On(sofar) if sofar.agrees_with(&entry) => {
                sofar.prefix_length = sofar.prefix_length.min(entry.prefix_length);
            }
            Self::On(_) | Self::Disagreement => *self = Self::Disagreement,
        }
    }
}

/// What the rows and ranges taking part in the answer for a prefix say about the network.
#[derive(Clone, Copy)]
enum NetworkAgreement {
    Silence,
    On(CardNetwork),
    Uncertain,
}

impl NetworkAgreement {
    /// Adds what one row or range says. A row that does not know its network leaves nothing certain.
    fn add(&mut self, network: Option<CardNetwork>) {
        *self = match (*self, network) {
            (Self::Silence, Some(network)) => Self::On(network),
            (Self::On(sofar), Some(network)) if sofar == network => Self::On(network),
            _ => Self::Uncertain,
        };
    }

    fn certain(self) -> Option<CardNetwork> {
        match self {
            Self::On(network) => Some(network),
            Self::Silence | Self::Uncertain => None,
        }
    }
}

/// The embedded rows with prefixes of `prefix_length` digits.
fn group(prefix_length: usize) -> &'static [Row] {
    let index = prefix_length.checked_sub(PREFIX_DIGITS_MIN);
    index
        .and_then(|index| generated::ROWS.get(index))
        .copied()
        .unwrap_or_default()
}

fn embedded_rows(prefix_length: usize, prefixes: Range<u64>) -> &'static [Row] {
    let rows = group(prefix_length);
    let from = rows.partition_point(|row| row.prefix < prefixes.start);
    let to = rows.partition_point(|row| row.prefix < prefixes.end);
    rows.get(from..to).unwrap_or_default()
}

fn embedded_row(
    prefix_length: usize,
    prefix: u64,
    card_length: usize,
) -> Option<BinEntry<'static>> {
    let rows = group(prefix_length);
    let key = |row: &Row| (row.prefix, usize::from(row.card_length));
    let at = rows
        .binary_search_by_key(&(prefix, card_length), key)
        .ok()?;
    entry_of(rows.get(at)?, prefix_length)
}

fn entry_of(row: &Row, prefix_length: usize) -> Option<BinEntry<'static>> {
    let issuer = generated::ISSUERS.get(usize::from(row.issuer))?;
    Some(BinEntry {
        prefix_length,
        bank_code: issuer.code,
        bank_name: issuer.name,
        bank_name_en: issuer.name_en,
        card_type: Some(row.card_type),
        network: Some(row.network),
    })
}
