//! Takes up what may change while the service runs, when the operator's file or a secret of ours
//! changes, or on SIGHUP.
//!
//! Everything that can fail is done first and changes nothing; what follows cannot fail. So a
//! configuration is taken up as a whole or not at all, apart from what needs a restart.
//!
//! Secrets of vendors and certificates have looks of their own at their files. Here it is about
//! where they are.

mod own_secrets;

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use self::own_secrets::OwnSecrets;
use super::{admin_token::AdminToken, protection, watch};
use crate::{
    config::{
        Config, ConfigSource, LoadedConfig, Problem, Problems, reload::changed_keys, secret::Secret,
    },
    grpc::{auth::Callers, tls, tls::Tls},
    provider::credentials::{Credentials, Prepared},
    service::{Service, lane::Lane},
    telemetry::{
        LevelHandle,
        events::{self, ReloadOutcome},
    },
};

/// Looks a variable of the environment up.
pub type ProcessEnv = fn(&str) -> Option<String>;

/// What had the configuration read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A file is another than before.
    File,
    /// SIGHUP.
    Signal,
}

impl Trigger {
    /// The word for `/status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Signal => "SIGHUP",
        }
    }
}

/// Where the configuration comes from, and may come from again.
pub struct Origin {
    /// Reads the file and the variables.
    pub read: Box<dyn Fn() -> Result<ConfigSource, Problems> + Send + Sync>,
    /// Where secrets in variables are.
    pub env: ProcessEnv,
    /// Changes how much is logged.
    pub levels: LevelHandle,
}

/// What a reload may change.
pub(super) struct Parts {
    pub(super) service: Service,
    pub(super) callers: Arc<Callers>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) admin_token: Arc<AdminToken>,
}

/// What came of the last reload.
#[derive(Debug, Clone)]
pub struct Report {
    /// When it was.
    pub at: Timestamp,
    /// Why it was.
    pub trigger: Trigger,
    /// What came of it.
    pub outcome: ReloadOutcome,
    /// The keys whose new values are in use.
    pub changed: Vec<String>,
    /// The keys whose new values need a restart.
    pub needs_restart: Vec<String>,
    /// Why it was refused.
    pub problems: Vec<Problem>,
}

/// Keeps the configuration in force, and looks for a newer one.
pub struct Reloader {
    origin: Origin,
    parts: Parts,
    in_force: Mutex<InForce>,
    warnings: ArcSwap<Vec<String>>,
    last: ArcSwap<Option<Report>>,
    looks: Mutex<Looks>,
}

struct InForce {
    loaded: LoadedConfig,
    own: OwnSecrets,
}

/// What file and secrets were like; see [`Reloader::look`].
#[derive(Default)]
struct Looks {
    used: Option<Fingerprint>,
    last: Option<Fingerprint>,
}

type Fingerprint = [u8; 32];

/// A configuration that can be taken up.
struct Ready {
    loaded: LoadedConfig,
    changed: Vec<String>,
    needs_restart: Vec<String>,
    own: OwnSecrets,
    tls: Option<tls::Prepared>,
    credentials: Vec<(Arc<Lane>, Prepared)>,
}

impl Reloader {
    /// Begins with the configuration that the service was started with.
    pub(super) fn new(origin: Origin, loaded: LoadedConfig, parts: Parts) -> Self {
        let warnings = loaded.config.warnings.clone();
        // they were read a moment ago, and the service was made with them
        let own = OwnSecrets::read(&loaded.config, origin.env).unwrap_or_default();
        let reloader = Self {
            in_force: Mutex::new(InForce { loaded, own }),
            origin,
            parts,
            warnings: ArcSwap::from_pointee(warnings),
            last: ArcSwap::default(),
            looks: Mutex::default(),
        };
        let print = reloader.fingerprint();
        *reloader.looks.lock() = Looks {
            used: Some(print),
            last: Some(print),
        };
        reloader
    }

    /// What is allowed and yet worth a word, of the configuration in force.
    #[must_use]
    pub fn warnings(&self) -> Arc<Vec<String>> {
        self.warnings.load_full()
    }

    /// What came of the last reload, if there was one.
    #[must_use]
    pub fn last(&self) -> Arc<Option<Report>> {
        self.last.load_full()
    }

    /// Looks whether file or secrets have changed, and takes them up once two looks in a row saw
    /// the same: what is being written is waited out. Blocks.
    pub fn look(&self) {
        let print = self.fingerprint();
        let mut looks = self.looks.lock();
        let settled = looks.last.replace(print) == Some(print);
        if settled && looks.used != Some(print) {
            // also when it is refused: then it is told once
            looks.used = Some(print);
            drop(looks);
            self.reload(Trigger::File);
        }
    }

    /// Reads everything again, because somebody says that it is complete. Blocks.
    pub fn reload_now(&self) {
        let print = self.fingerprint();
        *self.looks.lock() = Looks {
            used: Some(print),
            last: Some(print),
        };
        self.reload(Trigger::Signal);
        // each waits for two looks that agree
        for _ in 0..2 {
            watch::refresh_vendor_secrets(&self.parts.service);
            if let Some(tls) = &self.parts.tls {
                protection::look_at(tls);
            }
        }
    }

    fn reload(&self, trigger: Trigger) {
        let mut in_force = self.in_force.lock();
        let report = match self.make_ready(&in_force) {
            Ok(ready) => self.take_up(&mut in_force, ready, trigger),
            Err(problems) => Report {
                problems: problems.into_vec(),
                ..Report::new(trigger, ReloadOutcome::Refused)
            },
        };
        events::configuration_reloaded(
            report.outcome,
            &report.changed,
            &report.needs_restart,
            report
                .problems
                .iter()
                .map(|it| it as &dyn std::fmt::Display),
        );
        self.last.store(Arc::new(Some(report)));
    }

    fn make_ready(&self, in_force: &InForce) -> Result<Ready, Problems> {
        let env = self.origin.env;
        let new = Config::load(&(self.origin.read)()?)?;
        let mut problems = new.config.check_files();
        problems.extend(new.config.check_secrets(&env));
        if !problems.is_empty() {
            return Err(Problems::new(problems));
        }
        let loaded = in_force.loaded.taking_up(&new)?;
        let config = &loaded.config;
        let own = OwnSecrets::read(config, env)?;
        own.may_follow(&in_force.own)?;
        let tls = match (&self.parts.tls, &config.server.tls) {
            (Some(tls), Some(settings)) => tls.prepare(settings).map_err(|error| {
                Problems::one(format!("server.tls.{}", error.key), error.message)
            })?,
            _ => None,
        };
        let mut changed = changed_keys(&in_force.loaded.table, &loaded.table);
        changed.extend(own.other_than(&in_force.own).map(str::to_owned));
        changed.sort();
        changed.dedup();
        let mut needs_restart = changed_keys(&loaded.table, &new.table);
        // the connection is made at the start
        for key in changed.extract_if(.., |key| key == "cache.redis.url") {
            needs_restart.push(key);
        }
        Ok(Ready {
            changed,
            needs_restart,
            credentials: self.credentials(config)?,
            own,
            tls,
            loaded,
        })
    }

    /// The secrets of vendors that come from other places than before.
    fn credentials(&self, config: &Config) -> Result<Vec<(Arc<Lane>, Prepared)>, Problems> {
        let settings: BTreeMap<_, _> = config.providers.iter().map(|it| (&it.name, it)).collect();
        let mut all = Vec::new();
        for lane in self.parts.service.lanes() {
            let Some(settings) = settings.get(lane.name()) else {
                continue;
            };
            let sources = settings.kind.secrets().into_iter();
            let sources = sources.map(|(key, secret)| (key, secret.clone())).collect();
            let moved = lane
                .provider()
                .secrets()
                .is_some_and(|it| !it.are_from(&sources));
            if moved {
                let prepared = Credentials::prepare(sources, &self.origin.env);
                let prepared = prepared.map_err(|problems| {
                    let path = |key| format!("providers.{}.{key}", lane.name());
                    let keyed = problems
                        .into_iter()
                        .map(|(key, _)| Problem::new(path(key), "cannot be read"));
                    Problems::new(keyed.collect())
                })?;
                all.push((Arc::clone(lane), prepared));
            }
        }
        Ok(all)
    }

    fn take_up(&self, in_force: &mut InForce, ready: Ready, trigger: Trigger) -> Report {
        let parts = &self.parts;
        let config = &ready.loaded.config;
        let has_changed = |prefix: &str| ready.changed.iter().any(|key| key.starts_with(prefix));
        for (lane, prepared) in ready.credentials {
            if let Some(credentials) = lane.provider().secrets() {
                credentials.adopt(prepared);
            }
        }
        if let (Some(tls), Some(prepared)) = (&parts.tls, ready.tls) {
            tls.adopt(prepared);
            protection::tell_expiries(tls);
        }
        if has_changed("clients") {
            protection::replace_callers(&parts.callers, config);
        }
        // what an operator set by hand stays until the configuration itself says otherwise
        if has_changed("telemetry.log_level") {
            self.origin.levels.set(config.telemetry.log_level);
        }
        for settings in &config.providers {
            let lanes = parts
                .service
                .lanes()
                .filter(|lane| *lane.name() == settings.name);
            if has_changed(&format!("providers.{}.maintenance", settings.name)) {
                lanes.for_each(|lane| lane.set_maintenance(settings.vendor.maintenance));
            }
        }
        if has_changed("cache.key") || has_changed("cache.previous_key") {
            ready.own.hand_on(&parts.service);
        }
        parts.admin_token.replace(ready.own.admin_token.as_ref());
        self.warnings.store(Arc::new(config.warnings.clone()));
        in_force.own = ready.own.beside_the_connection_of(&in_force.own);
        in_force.loaded = ready.loaded;
        let outcome = match (ready.needs_restart.is_empty(), ready.changed.is_empty()) {
            (false, _) => ReloadOutcome::NeedsRestart,
            (true, false) => ReloadOutcome::Applied,
            (true, true) => ReloadOutcome::Unchanged,
        };
        Report {
            changed: ready.changed,
            needs_restart: ready.needs_restart,
            ..Report::new(trigger, outcome)
        }
    }

    /// Stands for the file and for the secrets that nobody else looks at.
    fn fingerprint(&self) -> Fingerprint {
        let mut digest = Sha256::new();
        let mut add = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        match (self.origin.read)() {
            Ok(source) => add(source
                .file
                .map(|(_, text)| text)
                .unwrap_or_default()
                .as_bytes()),
            Err(problems) => add(problems.to_string().as_bytes()),
        }
        let in_force = self.in_force.lock();
        for (_, reference) in own_secrets::references(&in_force.loaded.config) {
            match own_secrets::read(reference, self.origin.env) {
                Ok(secret) => add(secret.as_ref().map_or("", Secret::expose).as_bytes()),
                Err(problem) => add(problem.as_bytes()),
            }
        }
        digest.finalize().into()
    }
}

impl Report {
    fn new(trigger: Trigger, outcome: ReloadOutcome) -> Self {
        Self {
            at: Timestamp::now(),
            trigger,
            outcome,
            changed: Vec::new(),
            needs_restart: Vec::new(),
            problems: Vec::new(),
        }
    }
}
