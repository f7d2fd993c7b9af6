//! What asks Redis without the service: the same client library over one connection, with a bare
//! `GET` for each request. Prints one JSON object.

#![expect(clippy::print_stdout, reason = "the result is what it is run for")]

use std::{error::Error, time::Instant};

use clap::Parser;
use futures_util::{StreamExt, stream};
use redis::aio::MultiplexedConnection;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn Error + Send + Sync>;

/// About as long as a sealed answer.
const VALUE: [u8; 160] = [b'x'; 160];

/// Asks Redis as often as it answers.
#[derive(Parser)]
struct Arguments {
    /// The server.
    #[arg(long)]
    url: String,
    /// How many keys there are; they are made first.
    #[arg(long)]
    keys: u64,
    /// Requests before those that count.
    #[arg(long, default_value_t = 0)]
    warm_up: u64,
    /// Requests that count.
    #[arg(long)]
    requests: u64,
    /// Requests at once.
    #[arg(long, default_value_t = 512)]
    at_once: usize,
}

fn key(place: u64) -> String {
    format!("bench:{place}")
}

async fn fill(connection: &mut MultiplexedConnection, keys: u64) -> Result<(), Failure> {
    let places: Vec<u64> = (0..keys).collect();
    for some in places.chunks(1000) {
        let mut pipe = redis::pipe();
        for place in some {
            pipe.set(key(*place), &VALUE[..]).ignore();
        }
        pipe.query_async::<()>(connection).await?;
    }
    Ok(())
}

async fn get(mut connection: MultiplexedConnection, place: u64) -> Result<(), Failure> {
    let value: Vec<u8> = redis::cmd("GET")
        .arg(key(place))
        .query_async(&mut connection)
        .await?;
    if value == VALUE {
        Ok(())
    } else {
        Err("another value".into())
    }
}

async fn run(arguments: &Arguments) -> Result<serde_json::Value, Failure> {
    let client = redis::Client::open(arguments.url.as_str())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    fill(&mut connection, arguments.keys).await?;
    let asked = async |first: u64, count: u64| -> Result<(), Failure> {
        let mut answers = stream::iter(first..first + count)
            .map(|place| get(connection.clone(), place % arguments.keys))
            .buffer_unordered(arguments.at_once);
        while let Some(answer) = answers.next().await {
            answer?;
        }
        Ok(())
    };
    asked(0, arguments.warm_up).await?;
    let begun = Instant::now();
    asked(arguments.warm_up, arguments.requests).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let per_second = arguments.requests as f64 / seconds;
    Ok(json!({ "requests": arguments.requests, "seconds": seconds, "per_second": per_second }))
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    println!("{}", runtime.block_on(run(&arguments))?);
    Ok(())
}
