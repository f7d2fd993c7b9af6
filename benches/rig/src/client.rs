//! The service's own client for a vendor, without the service: a call is signed, sent and read as the
//! service has it done, and nothing else happens.

use std::{error::Error, path::PathBuf, time::Duration};

use cardproof::{
    app,
    config::{Config, ConfigSource},
    domain::{Finding, ResultCode},
    provider::CallContext,
    service::Service,
};
use tokio::runtime::Handle;

use crate::{
    questions::Holder,
    vendor::{SECRET_ID, SECRET_KEY},
};

type Failure = Box<dyn Error + Send + Sync>;

/// The client for Tencent.
pub struct Client {
    service: Service,
    holder: Holder,
}

impl Client {
    /// A client with room for as many calls at once. Must be called on a runtime.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn at(url: &str, at_once: usize) -> Result<Self, Failure> {
        let text = format!(
            "[routes]\nverify = [\"tencent\"]\n[providers.tencent]\nkind = \"tencent\"\n\
             endpoint = \"{url}\"\nsecret_id = {{ env = \"ID\" }}\n\
             secret_key = {{ env = \"KEY\" }}\nconcurrent = {at_once}\n"
        );
        let source = ConfigSource {
            file: Some((PathBuf::from("client.toml"), text)),
            env: Vec::new(),
        };
        let loaded = Config::load(&source).map_err(|problems| problems.to_string())?;
        let env = |name: &str| {
            let secret = match name {
                "ID" => SECRET_ID,
                "KEY" => SECRET_KEY,
                _ => return None,
            };
            Some(secret.to_owned())
        };
        let service = app::service(&loaded.config, &env, &Handle::current())
            .map_err(|error| error.to_string())?;
        Ok(Self {
            service,
            holder: Holder::new()?,
        })
    }

    /// Asks about a card.
    ///
    /// # Errors
    /// When no answer comes, or another one than a match.
    pub async fn verify(&self, card: &str) -> Result<(), Failure> {
        let question = self.holder.holds(card)?;
        let context = CallContext {
            timeout: Duration::from_secs(10),
            attempt: 1,
        };
        let mut lanes = self.service.lanes();
        let vendor = lanes.find(|lane| !lane.is_embedded());
        let vendor = vendor.ok_or("there is no vendor")?.provider();
        let answer = vendor.verify(&question, &context).await;
        match answer.map_err(|error| error.kind.as_str())?.finding {
            Finding::Verification {
                result: ResultCode::Match,
                ..
            } => Ok(()),
            other => Err(other.result_name().into()),
        }
    }
}
