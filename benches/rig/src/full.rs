//! The service with a memory that is full from the start: built from the same parts as
//! `cardproof serve`, with callers by token, limits and metrics. Asking a vendor ten million times
//! first would take many minutes and show the same.

use std::{error::Error, net::TcpListener, path::PathBuf, sync::Arc, time::Duration};

use cardproof::{
    app,
    cache::{Digests, LocalCache, Scope, Stored},
    config::{Config, ConfigSource},
    domain::{
        Answer, Charge, Finding, ProviderMessage, ProviderName, Question, ResultCode, VendorToken,
    },
    grpc::{
        api::{self, Api},
        auth::Callers,
        hot::Hot,
        routes,
        server::{Server, ServerLimits},
    },
    health::HealthSwitch,
    service::Service,
    telemetry::metrics::{self, Identity as Build, Observed},
};
use jiff::Timestamp;
use tokio::runtime::Runtime;

use crate::questions::{Holder, card_at};

/// The one caller's token.
pub const TOKEN: &str = "a-token-of-the-benchmark-with-enough-characters";
const CALLER: &str = "checkout";
/// The key of `cache.key`, so that tags can be made outside of the service.
const KEY: &str = "a key of the benchmark, long enough for the configuration";
const DAY: Duration = Duration::from_secs(86_400);

type Failure = Box<dyn Error + Send + Sync>;

/// The service, before it serves.
pub struct Full {
    config: Config,
    /// The service.
    pub service: Service,
    runtime: Runtime,
}

impl Full {
    /// Builds it with a cache of that many megabytes.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn new(capacity_mb: u64) -> Result<Self, Failure> {
        use sha2::{Digest, Sha256};
        let text = format!(
            "[cache]\ncapacity_mb = {capacity_mb}\nkey = {{ env = \"KEY\" }}\n\
             [auth]\nmode = \"token\"\n[clients.{CALLER}]\ntoken_sha256 = [\"{}\"]\n\
             requests_per_second = 1000000\nconcurrent = 100000\n",
            hex::encode(Sha256::digest(TOKEN))
        );
        let source = ConfigSource {
            file: Some((PathBuf::from("full.toml"), text)),
            env: Vec::new(),
        };
        let loaded = Config::load(&source).map_err(|problems| problems.to_string())?;
        let env = |name: &str| (name == "KEY").then(|| KEY.to_owned());
        let runtime = cardproof::runtime::outside()?;
        let service = {
            let _entered = runtime.enter();
            app::service(&loaded.config, &env, runtime.handle())
                .map_err(|error| error.to_string())?
        };
        let build = Build {
            version: "benchmark",
            bin_data_version: "",
            operations: Vec::new(),
            currencies: Vec::new(),
            providers: service.lanes().map(|lane| lane.name().clone()).collect(),
        };
        metrics::install(build, Observed::default(), None)?;
        Ok(Self {
            config: loaded.config,
            service,
            runtime,
        })
    }

    /// Puts an answer for each of the first questions, and lets the cache tidy up.
    ///
    /// # Errors
    /// When a question is malformed.
    pub fn fill(&self, entries: u64) -> Result<(), Failure> {
        self.runtime.block_on(fill(self.service.cache(), entries))
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// When the system gives no thread or descriptor.
    pub fn serve(self, listener: TcpListener) -> Result<(), Failure> {
        let health = HealthSwitch::new();
        let limits = &self.config.server;
        let callers = Callers::new(self.config.auth, &self.config.clients);
        let hot = Hot::new(
            Api::new(self.service, self.config.luhn),
            limits.max_message_bytes,
            Arc::new(callers),
        );
        let server = Server::new(
            listener,
            hot,
            routes::rest(health.clone(), false)?,
            api::answers(),
            ServerLimits::from(limits),
            health,
        );
        let never = tokio_stream::pending();
        self.runtime.block_on(server.run(never, |_| async {}))?;
        Ok(())
    }
}

async fn fill(cache: &LocalCache, entries: u64) -> Result<(), Failure> {
    let digests = Digests::new(KEY.as_bytes());
    let provider = ProviderName::new("sandbox").ok_or("no name")?;
    let holder = Holder::new()?;
    for place in 0..entries {
        let question = Question::Verify(holder.holds(&card_at(place))?);
        let tag = digests.question(&question, Scope::Caller(CALLER), None);
        let now = Timestamp::now();
        let answer = Answer {
            finding: Finding::verified(ResultCode::Match),
            charge: Charge::Charged,
            provider_code: VendorToken::trusted("0"),
            provider_message: ProviderMessage::Known("认证通过"),
            // as the vendors write theirs
            provider_request_id: VendorToken::trusted(&uuid::Uuid::new_v4().to_string()),
            answered_at: now,
        };
        let stored = Stored {
            answer: Arc::new(answer),
            provider: provider.clone(),
            fresh_until: now + DAY,
            stale_until: now + DAY,
        };
        cache.put(&tag.into(), &stored);
    }
    cache.settle().await;
    Ok(())
}
