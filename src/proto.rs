//! Generated messages, clients and servers of the two contracts.
//!
//! Messages that may name a card or a person have no generated `Debug`; the one written here shows
//! which fields are set, never what is in them.

use std::fmt;

/// The encoded descriptors of both contracts, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Package `bankcard`.
pub mod bankcard {
    /// Package `bankcard.v1`: what callers see.
    #[allow(
        missing_docs,
        clippy::all,
        clippy::pedantic,
        clippy::nursery,
        reason = "generated; its words stand in the protocol files"
    )]
    pub mod v1 {
        tonic::include_proto!("bankcard.v1");
    }

    /// Package `bankcard.provider`.
    pub mod provider {
        /// Package `bankcard.provider.v1`: providers that run out of process.
        #[allow(
            missing_docs,
            clippy::all,
            clippy::pedantic,
            clippy::nursery,
            reason = "generated; its words stand in the protocol files"
        )]
        pub mod v1 {
            tonic::include_proto!("bankcard.provider.v1");
        }
    }
}

use bankcard::{provider::v1 as provider_v1, v1};

/// Names of the fields that differ from their defaults, in parentheses after the type's name.
fn names_of_set_fields(
    f: &mut fmt::Formatter<'_>,
    message: &str,
    fields: &[(&str, bool)],
) -> fmt::Result {
    let mut tuple = f.debug_tuple(message);
    for (name, _) in fields.iter().filter(|(_, is_set)| *is_set) {
        tuple.field(&format_args!("{name}"));
    }
    tuple.finish()
}

fn is_set<T: Default + PartialEq>(field: &T) -> bool {
    *field != T::default()
}

/// Takes every field apart by name, so that a new one does not compile until it is listed.
macro_rules! masked {
    ($($package:ident :: $message:ident { $($field:ident),* $(,)? })*) => {$(
        impl fmt::Debug for $package::$message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Self { $($field),* } = self;
                names_of_set_fields(
                    f,
                    stringify!($message),
                    &[$((stringify!($field), is_set($field))),*],
                )
            }
        }
    )*};
}

masked! {
    v1::VerifyBankCardRequest {
        bank_card, name, id_number, phone, identity_type, cache, provider, request_id,
        consent_reference,
    }
    v1::VerifyBankCardResponse {
        verdict, result, factors, charge, source, provider, provider_code, provider_message,
        provider_request_id, answered_at, attempts, luhn_valid,
    }
    v1::QueryCardInfoRequest { bank_card, cache, provider, request_id }
    v1::QueryCardInfoResponse {
        result, bank_name, bank_code, card_type, network, bin, luhn_valid, charge, source,
        provider, provider_code, provider_message, provider_request_id, data_version, answered_at,
        attempts, bank_name_en,
    }
    provider_v1::VerifyBankCardRequest {
        bank_card, name, id_number, phone, identity_type, identity_type_code,
    }
    provider_v1::VerifyBankCardResponse { outcome }
    provider_v1::QueryCardInfoRequest { bank_card }
    provider_v1::QueryCardInfoResponse { outcome }
    provider_v1::Verification { result, charge, reference }
    provider_v1::CardInformation {
        result, charge, bank_name, bank_name_en, bank_code, card_type, network, reference,
    }
    provider_v1::VendorReference { code, message, request_id }
}

impl fmt::Debug for provider_v1::verify_bank_card_response::Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answer(_) => "Answer(***)",
            Self::Failure(_) => "Failure(***)",
        })
    }
}

impl fmt::Debug for provider_v1::query_card_info_response::Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answer(_) => "Answer(***)",
            Self::Failure(_) => "Failure(***)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_which_fields_are_set_and_no_value() {
        let request = v1::VerifyBankCardRequest {
            bank_card: "6222020000000000000".into(),
            name: "Wei Xiaobao".into(),
            ..Default::default()
        };
        assert_eq!(
            format!("{request:?}"),
            "VerifyBankCardRequest(bank_card, name)"
        );
        assert_eq!(
            format!("{:?}", tonic::Request::new(request))
                .matches("Wei")
                .count(),
            0
        );
    }

    #[test]
    fn replies_of_providers_are_masked_inside_too() {
        use provider_v1::verify_bank_card_response::Outcome;
        let response = provider_v1::VerifyBankCardResponse {
            outcome: Some(Outcome::Answer(provider_v1::Verification {
                reference: Some(provider_v1::VendorReference {
                    message: "Wei Xiaobao is unknown".into(),
                    ..Default::default()
                }),
                ..Default::default()
            })),
        };
        assert_eq!(
            format!("{response:?} {:?}", response.outcome),
            "VerifyBankCardResponse(outcome) Some(Answer(***))"
        );
    }

    #[test]
    fn descriptors_hold_both_services() {
        let holds = |name: &str| {
            DESCRIPTORS
                .windows(name.len())
                .any(|window| window == name.as_bytes())
        };
        assert!(holds("BankCardService") && holds("ProviderService"));
    }
}
