//! The answers that servers give which do nothing: what the service itself answered, byte for byte,
//! so that all of them send the same.

use std::{fs, io, path::Path};

use cardproof::proto::bankcard::v1::{
    QueryCardInfoRequest, QueryCardInfoResponse, VerifyBankCardRequest, VerifyBankCardResponse,
    bank_card_service_server::BankCardService,
};
use prost::Message;
use tonic::{Request, Response, Status};

/// A service that reads the request and gives the answer that it was started with.
#[derive(Clone)]
pub struct Echo {
    verification: VerifyBankCardResponse,
    card_info: QueryCardInfoResponse,
}

impl Echo {
    /// Gives one answer to verifications, and an empty one to questions for card information.
    #[must_use]
    pub fn with(verification: VerifyBankCardResponse) -> Self {
        Self {
            verification,
            card_info: QueryCardInfoResponse::default(),
        }
    }

    /// Reads `verify.answer` and `card-info.answer` of a folder.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let verification = &raw(folder, "verify")?[..];
        let card_info = &raw(folder, "card-info")?[..];
        Ok(Self {
            verification: VerifyBankCardResponse::decode(verification).map_err(invalid)?,
            card_info: QueryCardInfoResponse::decode(card_info).map_err(invalid)?,
        })
    }
}

/// The bytes of an answer.
///
/// # Errors
/// When they cannot be read.
pub fn raw(folder: &Path, method: &str) -> io::Result<Vec<u8>> {
    fs::read(folder.join(format!("{method}.answer")))
}

#[tonic::async_trait]
impl BankCardService for Echo {
    async fn verify_bank_card(
        &self,
        _: Request<VerifyBankCardRequest>,
    ) -> Result<Response<VerifyBankCardResponse>, Status> {
        Ok(Response::new(self.verification.clone()))
    }

    async fn query_card_info(
        &self,
        _: Request<QueryCardInfoRequest>,
    ) -> Result<Response<QueryCardInfoResponse>, Status> {
        Ok(Response::new(self.card_info.clone()))
    }
}
