//! From a table to the types of [`Config`](super::Config): every key read, every check made.

use std::collections::{BTreeMap, BTreeSet};

use toml::Table;

use super::{
    AuthMode, Config, LuhnPolicy, Mode, check,
    problem::{Problem, Problems},
    reader::{Report, Section, form},
    reload,
    source::{self, ConfigSource, Merged},
};

mod cache;
mod clients;
mod money;
mod providers;
mod routes;
mod server;
mod telemetry;
mod vendors;

pub(super) use self::{money::price_key, providers::Vendor, routes::Origin};

/// A configuration beside the table that it was read from.
#[derive(Clone)]
pub struct LoadedConfig {
    /// What the service works with.
    pub config: Config,
    /// The operator's settings laid over the default.
    pub table: Table,
    /// Every key that was looked for, whether it is set or not.
    pub keys: BTreeSet<String>,
}

impl std::fmt::Debug for LoadedConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // the table holds what the types mask
        f.debug_struct("LoadedConfig")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What the checks need to know beside the configuration itself.
pub(super) struct Outline {
    /// The kind of every provider that is named, as far as it is known.
    pub(super) vendors: BTreeMap<String, Option<Vendor>>,
    /// Which key a route was read from.
    pub(super) origin: Origin,
}

impl Config {
    /// Reads and checks a configuration: the operator's file over the embedded default, variables
    /// over both. Reads no secret and no other file; see [`Config::check_secrets`] and
    /// [`Config::check_files`].
    ///
    /// # Errors
    /// All problems at once, except that a file that is no TOML has only that problem.
    pub fn load(source: &ConfigSource) -> Result<LoadedConfig, Problems> {
        let merged = source::merge(source)?;
        let report = Report::default();
        let (mut config, outline) = read(&merged, &report);
        check::all(&config, &outline, &report);
        let unknown = unknown_variables(&merged, &report);
        let (found, warnings, keys) = report.into_parts();
        if found.is_empty() && unknown.is_empty() && merged.problems.is_empty() {
            config.warnings = warnings;
            return Ok(LoadedConfig {
                config,
                table: merged.table,
                keys,
            });
        }
        let found = found
            .into_iter()
            .filter(|problem| !unknown.iter().any(|(path, _)| *path == problem.key))
            .map(|problem| name_variable(problem, &merged));
        let unknown = unknown.iter().map(|(_, problem)| problem.clone());
        let problems = merged.problems.iter().cloned();
        let problems = problems.map(|problem| name_variable(problem, &merged));
        Err(Problems::new(
            problems.chain(found).chain(unknown).collect(),
        ))
    }
}

impl LoadedConfig {
    /// What is in force once `new` has been taken up as far as that is possible while the service
    /// runs.
    ///
    /// # Errors
    /// What may change does not fit what may not: a caller's provider, for example, that is not
    /// there before a restart.
    pub fn taking_up(&self, new: &Self) -> Result<Self, Problems> {
        let merged = Merged {
            table: reload::in_force(&self.table, &new.table),
            defaults: source::defaults()?,
            variables: BTreeMap::new(),
            problems: Vec::new(),
        };
        let report = Report::default();
        let (mut config, outline) = read(&merged, &report);
        check::all(&config, &outline, &report);
        let (found, warnings, keys) = report.into_parts();
        if !found.is_empty() {
            let until_restart = |problem: Problem| {
                Problem::new(
                    problem.key,
                    format!("{}, before a restart", problem.message),
                )
            };
            return Err(Problems::new(
                found.into_iter().map(until_restart).collect(),
            ));
        }
        config.warnings = warnings;
        Ok(Self {
            config,
            table: merged.table,
            keys,
        })
    }
}

/// The variables that set something nobody asked for, by the path that they set.
fn unknown_variables(merged: &Merged, report: &Report) -> Vec<(String, Problem)> {
    let unknown = merged
        .variables
        .iter()
        .filter(|(path, _)| !report.knows(path));
    unknown
        .map(|(path, variable)| (path.clone(), Problem::new(variable, source::NOT_A_KEY)))
        .collect()
}

/// Adds the variable that set the key, or a part of it.
fn name_variable(mut problem: Problem, merged: &Merged) -> Problem {
    let is_set_by = |path: &str| {
        let parent = path.rsplit_once('.').map(|(parent, _)| parent);
        path == problem.key || parent == Some(&problem.key)
    };
    let mut variables = merged.variables.iter();
    if let Some((_, variable)) = variables.find(|(path, _)| is_set_by(path)) {
        problem.message = format!("{} (set by {variable})", problem.message);
    }
    problem
}

fn read(merged: &Merged, report: &Report) -> (Config, Outline) {
    const MODES: &[(&str, Mode)] = &[
        ("development", Mode::Development),
        ("production", Mode::Production),
    ];
    let mut root = Section::root(merged.table.clone(), merged.defaults.clone(), report);
    let mode = root.optional("mode", form::choice(MODES));
    let server = server::read(root.section("server"));
    let auth = auth(root.section("auth"));
    let luhn = luhn(root.section("input"));
    let (providers, vendors) = providers::read(root.section("providers"));
    let (routes, origin) = routes::read(root.section("routes"), &vendors);
    let clients = match root.optional_section("clients") {
        Some(section) => clients::read(section, &vendors),
        None => BTreeMap::new(),
    };
    let config = Config {
        mode,
        server,
        auth,
        clients,
        luhn,
        routes,
        providers,
        breaker: cache::breaker(root.section("breaker")),
        cache: cache::cache(root.section("cache")),
        guard: cache::guard(root.section("guard")),
        idempotency: cache::idempotency(root.section("idempotency")),
        admin_token: admin_token(root.section("admin")),
        telemetry: telemetry::read(root.section("telemetry")),
        warnings: Vec::new(),
    };
    root.finish();
    (config, Outline { vendors, origin })
}

fn auth(mut section: Section<'_>) -> AuthMode {
    const MODES: &[(&str, AuthMode)] = &[
        ("none", AuthMode::None),
        ("token", AuthMode::Token),
        ("mtls", AuthMode::Mtls),
    ];
    let mode = section.or("mode", form::choice(MODES), AuthMode::None);
    section.finish();
    mode
}

fn luhn(mut section: Section<'_>) -> LuhnPolicy {
    const POLICIES: &[(&str, LuhnPolicy)] = &[
        ("off", LuhnPolicy::Off),
        ("warn", LuhnPolicy::Warn),
        ("enforce", LuhnPolicy::Enforce),
    ];
    let luhn = section.or("luhn", form::choice(POLICIES), LuhnPolicy::Warn);
    section.finish();
    luhn
}

fn admin_token(mut section: Section<'_>) -> Option<super::secret::SecretRef> {
    let token = section.secret("token");
    section.finish();
    token
}
