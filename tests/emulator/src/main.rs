//! The emulator as a program: `cargo run -p cardproof-emulator -- --listen 127.0.0.1:9100`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use cardproof_emulator::{Credentials, Emulator, Options, world};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plays Ace Data Cloud, Tencent Cloud FaceID and Alibaba Cloud ID Verification on loopback, so that
/// cardproof can be tried with real vendor settings and no account. All answers are made up.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on; all three vendors share it.
    #[arg(long, default_value = "127.0.0.1:9100", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// Certificate chain (PEM) for HTTPS; without it the emulator speaks plain HTTP.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Worker threads.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    workers: usize,

    /// Calls that the ledger keeps; the oldest are dropped first.
    #[arg(long, default_value_t = 2_000_000, value_name = "NUMBER")]
    ledger_capacity: usize,

    /// Say only where it listens.
    #[arg(long, short)]
    quiet: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.listen.ip().is_loopback() {
        return fail("the emulator knows public test keys: it listens on loopback only");
    }
    let options = Options {
        listen: arguments.listen,
        tls: arguments.tls_cert.zip(arguments.tls_key),
        ledger_capacity: arguments.ledger_capacity,
        ..Options::default()
    };
    let credentials = options.credentials.clone();
    let emulator = match Emulator::start_on_thread(options, arguments.workers) {
        Ok(emulator) => emulator,
        Err(error) => return fail(&format!("cannot start on {}: {error}", arguments.listen)),
    };
    let mut text = format!("listening on {}\n", emulator.url());
    if !arguments.quiet {
        text.push_str(&guide(&emulator.url(), &credentials));
    }
    // Nobody reading is no reason to stop.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
    match wait_for_the_end() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot wait for signals: {error}")),
    }
}

fn fail(message: &str) -> ExitCode {
    // Nowhere is left to report a failure to report.
    let _ = writeln!(std::io::stderr(), "cardproof-emulator: {message}");
    ExitCode::FAILURE
}

/// Waits for Ctrl-C or a termination signal.
fn wait_for_the_end() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    })
}

/// What a user needs to try cardproof against the emulator.
fn guide(url: &str, credentials: &Credentials) -> String {
    let person = world::EVERYBODY;
    let ace = credentials.ace.first().map_or("", String::as_str);
    let environment = [
        ("ACE_TOKEN", ace),
        (
            "TENCENT_SECRET_ID",
            credentials.tencent.first().map_or("", |pair| &pair.id),
        ),
        (
            "TENCENT_SECRET_KEY",
            credentials.tencent.first().map_or("", |pair| &pair.secret),
        ),
        (
            "ALIBABA_ACCESS_KEY_ID",
            credentials.alibaba.first().map_or("", |pair| &pair.id),
        ),
        (
            "ALIBABA_ACCESS_KEY_SECRET",
            credentials.alibaba.first().map_or("", |pair| &pair.secret),
        ),
    ];
    let exports: String = environment
        .iter()
        .map(|(name, value)| format!("export {name}={value}\n"))
        .collect();
    format!(
        r#"
It plays Ace Data Cloud, Tencent Cloud FaceID and Alibaba Cloud ID Verification. Nothing leaves
this machine and nothing is real.

1. Give cardproof the credentials that the emulator accepts:

{exports}
2. Put this into cardproof's configuration:

[routes]
verify = ["tencent", "alibaba", "ace"]
card_info = ["tencent", "ace"]

[providers.ace]
kind = "ace"
endpoint = "{url}"
token = {{ env = "ACE_TOKEN" }}

[providers.tencent]
kind = "tencent"
endpoint = "{url}"
secret_id = {{ env = "TENCENT_SECRET_ID" }}
secret_key = {{ env = "TENCENT_SECRET_KEY" }}

[providers.alibaba]
kind = "alibaba"
endpoint = "{url}"
product = "intl"
param_type = "normal"
access_key_id = {{ env = "ALIBABA_ACCESS_KEY_ID" }}
access_key_secret = {{ env = "ALIBABA_ACCESS_KEY_SECRET" }}

3. Ask. Every card belongs to {name}, ID number {id}, phone {phone}, for
   example 6222020000000000000. A card that ends in 999 and two more digits selects another answer:
   99901 is the vendor's code -1 (Alibaba: 201), 99990 is throttling.

Calls and their cost: {url}/_control/ledger and {url}/_control/summary
Keys for Tencent's field encryption: {url}/_control/keys/rsa.pem and sm2.pem
Scripts, delays and faults: see tests/emulator/README.md. Ctrl-C stops it.
"#,
        name = person.name,
        id = person.id_number,
        phone = person.phone,
    )
}
