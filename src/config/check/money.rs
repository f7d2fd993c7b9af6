//! A budget is kept only if everything that it covers has a price in its currency.

use crate::{
    config::{
        ClientSettings, Config,
        providers::{Money, ProviderSettings},
        read::price_key,
        reader::Report,
    },
    domain::Operation,
};

pub(super) fn check(config: &Config, report: &Report) {
    for provider in &config.providers {
        if let Some(budget) = &provider.vendor.daily_budget {
            let key = format!("providers.{}.daily_budget", provider.name);
            for operation in Operation::ALL {
                needs_price(config, provider, *operation, budget, &key, report);
            }
        }
    }
    for (name, client) in &config.clients {
        if let Some(budget) = &client.daily_budget {
            let key = format!("clients.{name}.daily_budget");
            for provider in &config.providers {
                for operation in Operation::ALL {
                    if may_ask(client, provider, *operation) {
                        needs_price(config, provider, *operation, budget, &key, report);
                    }
                }
            }
        }
    }
}

fn may_ask(client: &ClientSettings, provider: &ProviderSettings, operation: Operation) -> bool {
    let may_call = match operation {
        Operation::CardInfo => client.may_query_card_info,
        Operation::VerifyTwo | Operation::VerifyThree | Operation::VerifyFour => client.may_verify,
    };
    let providers = client.providers.as_ref();
    may_call && providers.is_none_or(|names| names.contains(&provider.name))
}

fn needs_price(
    config: &Config,
    provider: &ProviderSettings,
    operation: Operation,
    budget: &Money,
    key: &str,
    report: &Report,
) {
    let route = config.routes.by_operation.get(&operation);
    let is_routed = route.is_some_and(|route| route.contains(&provider.name));
    let price = provider.vendor.price.as_ref();
    let has_price = price.is_some_and(|price| {
        price.currency == budget.currency && price.micros.contains_key(&operation)
    });
    let prices = format!("providers.{}.price", provider.name);
    if is_routed && !provider.kind.is_embedded() && !has_price && report.is_clean(&prices) {
        let wanted = price_key(operation);
        let message = format!("needs {prices}.{wanted} in the currency of this budget");
        report.problem(key, message);
    }
}
