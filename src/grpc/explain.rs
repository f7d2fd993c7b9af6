//! Errors that are made below our handlers, by the generated code: a message that is too long or
//! cannot be read, a compression or a method that does not exist. They say what is wrong in words
//! of a library and bear no details. Here they become errors like all others.
//!
//! A message that no handler could read is a wrong request, INVALID_ARGUMENT. Only UNIMPLEMENTED
//! stays what it is: the protocol asks for it, and clients find out by it what a server can do.

use std::collections::HashMap;

use http::Response;
use tonic::{Code, Status, body::Body};
use tonic_types::{ErrorDetails, StatusExt};

use super::status::{self, DOMAIN};
use crate::{
    domain::{Field, InvalidInput, Reason, Violation},
    service::denial::Denial,
};

/// What the bytes of every `google.rpc.Status` come in.
const DETAILS: &str = "grpc-status-details-bin";
/// Comes with the refusal of a compression.
const ACCEPTED: &str = "grpc-accept-encoding";

/// The answer as it is, unless it is an error without details. One look at the head of an answer
/// that is a message, as its status comes after it.
pub(super) fn explained(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if headers.contains_key(Status::GRPC_STATUS) && !headers.contains_key(DETAILS) {
        explain(response)
    } else {
        response
    }
}

/// The same for what is not our service: health has errors of its own, which are as its protocol
/// wants them, but a path that leads nowhere is nobody's.
pub(super) fn explained_nowhere(response: Response<Body>) -> Response<Body> {
    let unimplemented = Code::Unimplemented as i32;
    let status = response.headers().get(Status::GRPC_STATUS);
    if status.is_some_and(|status| status.as_bytes() == unimplemented.to_string().as_bytes()) {
        explained(response)
    } else {
        response
    }
}

#[cold]
fn explain(response: Response<Body>) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => of_ours(&status).into_http(),
        _ => response,
    }
}

/// The error of ours for one of the library.
fn of_ours(bare: &Status) -> Status {
    match bare.code() {
        Code::Unimplemented => match bare.metadata().get(ACCEPTED) {
            Some(accepted) => {
                let mut status = unimplemented(
                    InvalidInput::Factors.as_str(),
                    "this compression is not understood here; send messages uncompressed",
                );
                status.metadata_mut().insert(ACCEPTED, accepted.clone());
                status
            }
            None => unimplemented(
                Reason::MethodNotAllowed.as_str(),
                "there is no such method here",
            ),
        },
        // of a message that is longer than it may be, packed or unpacked
        Code::OutOfRange | Code::ResourceExhausted => unreadable(
            Field::Message,
            InvalidInput::Factors,
            "the message is longer than this server takes",
        ),
        Code::Internal => match field_of(bare.message()) {
            Some((field, reason)) => unreadable(field, reason, "cannot be read"),
            None => unreadable(
                Field::Message,
                InvalidInput::Factors,
                "there is no message, or one that cannot be read",
            ),
        },
        _ => status::plain(Reason::Internal),
    }
}

fn unimplemented(reason: &str, message: &'static str) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(Code::Unimplemented, message, details)
}

fn unreadable(field: Field, reason: InvalidInput, detail: &'static str) -> Status {
    status::status(&Denial::Invalid(vec![Violation::new(
        field, reason, detail,
    )]))
}

/// The field at which the reading of a message ended, from the words of the library:
/// `…: VerifyBankCardRequest.name: …`. None when it is about none that we know.
fn field_of(words: &str) -> Option<(Field, InvalidInput)> {
    let (_, after) = words.split_once("Request.")?;
    let (name, _) = after.split_once(':')?;
    let found = match name {
        "bank_card" => (Field::BankCard, InvalidInput::CardNumber),
        "name" => (Field::Name, InvalidInput::Name),
        "id_number" => (Field::IdNumber, InvalidInput::IdNumber),
        "phone" => (Field::Phone, InvalidInput::Phone),
        "identity_type" => (Field::IdentityType, InvalidInput::IdentityType),
        "cache" => (Field::CacheMode, InvalidInput::CachePolicy),
        "provider" => (Field::Provider, InvalidInput::ProviderUnknown),
        "request_id" => (Field::RequestId, InvalidInput::RequestId),
        "consent_reference" => (Field::ConsentReference, InvalidInput::ConsentReference),
        _ => return None,
    };
    Some(found)
}
