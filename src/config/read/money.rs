//! Budgets and prices.

use crate::{
    config::{
        providers::{Money, Price},
        reader::{Section, form},
    },
    domain::Operation,
};

/// The key of an operation's price in `[providers.NAME.price]`.
pub(in crate::config) const fn price_key(operation: Operation) -> &'static str {
    match operation {
        Operation::VerifyTwo => "two",
        Operation::VerifyThree => "three",
        Operation::VerifyFour => "four",
        Operation::CardInfo => "card_info",
    }
}

/// `daily_budget`
pub(super) fn budget(section: &mut Section<'_>) -> Option<Money> {
    let mut section = section.optional_section("daily_budget")?;
    let currency = section.required("currency", form::currency);
    let micros = section.required("amount", form::micros);
    section.finish();
    Some(Money {
        currency: currency?,
        micros: micros?,
    })
}

/// `price`
pub(super) fn price(section: &mut Section<'_>) -> Option<Price> {
    let mut section = section.optional_section("price")?;
    let currency = section.required("currency", form::currency);
    let prices = Operation::ALL.iter().filter_map(|operation| {
        let micros = section.optional(price_key(*operation), form::micros)?;
        Some((*operation, micros))
    });
    let micros = prices.collect();
    section.finish();
    Some(Price {
        currency: currency?,
        micros,
    })
}
