//! What signing a request and reading a reply cost: `cargo bench --bench sign`.
//!
//! Ends with exit code 1 if a signature takes 5 µs or more.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its result, and stops when it cannot run"
)]

use std::{hint::black_box, process::ExitCode, time::Instant};

use cardproof::{
    config::providers::{AceCodeTable, AlibabaProduct},
    domain::{CardNumber, PersonName, Question, Verification, question::Proof},
    provider::{ace, alibaba, http::HttpReply, tencent},
};
use criterion::Criterion;
use jiff::Timestamp;
use zeroize::Zeroizing;

/// Longest time of one signature, in nanoseconds.
const BAR_NS: f64 = 5_000.0;
const ROUNDS: u32 = 20_000;
const REPEATS: usize = 9;

const BODY: &str = r#"{"IdCard":"11010519491231002X","Name":"张三","BankCard":"6222020000000000000","Phone":"13800138000"}"#;
const QUERY: &str = "BankCard=6222020000000000000&IdentifyNum=11010519491231002X&Mobile=13800138000\
    &ParamType=normal&ProductCode=BANK_CARD_N_META&ProductType=BANK_CARD_4_META\
    &UserName=%E5%BC%A0%E4%B8%89&VerifyMode=VERIFY_BANK_CARD";

fn tc3() -> String {
    tencent::sign::Tc3 {
        secret_id: "AKIDEMULATOR",
        secret_key: "emulator-tencent-secret",
        service: "faceid",
        host: "faceid.intl.tencentcloudapi.com",
        content_type: "application/json",
        at: black_box(Timestamp::UNIX_EPOCH),
    }
    .authorization(black_box(BODY.as_bytes()))
}

fn acs3() -> String {
    alibaba::sign::Signed {
        canonical_query: black_box(QUERY),
        headers: &[
            ("host", "cloudauth-intl.cn-hongkong.aliyuncs.com"),
            ("x-acs-action", "BankMetaVerifyIntl"),
            ("x-acs-content-sha256", alibaba::sign::EMPTY_BODY_SHA256),
            ("x-acs-date", "2026-06-01T00:00:00Z"),
            ("x-acs-signature-nonce", "7d2f1f1c5b6a4d5e8f90a1b2c3d4e5f6"),
            ("x-acs-version", "2022-08-09"),
        ],
    }
    .authorization("LTAIEMULATOR", "emulator-alibaba-secret")
}

fn reply(body: &str) -> HttpReply {
    HttpReply {
        status: 200,
        body: Zeroizing::new(body.as_bytes().to_vec()),
        content_type: None,
        retry_after: None,
        clock_skew_seconds: None,
    }
}

/// Median nanoseconds of one call.
fn median_ns(call: fn() -> String) -> f64 {
    let mut samples = [0.0; REPEATS];
    for sample in &mut samples {
        let started = Instant::now();
        for _ in 0..ROUNDS {
            black_box(call());
        }
        *sample = started.elapsed().as_nanos() as f64 / f64::from(ROUNDS);
    }
    samples.sort_by(f64::total_cmp);
    samples[REPEATS / 2]
}

fn decoding(criterion: &mut Criterion) {
    let question = Question::Verify(Verification {
        card: CardNumber::parse("6222020000000000000").unwrap(),
        name: PersonName::parse("张三").unwrap(),
        proof: Proof::NameOnly,
    });
    let now = Timestamp::UNIX_EPOCH;
    let body = reply(r#"{"result":"0","description":"Authentication passed"}"#);
    criterion.bench_function("read/ace", |bencher| {
        bencher.iter(|| ace::read_reply(&body, &question, AceCodeTable::Documented, now).unwrap());
    });
    let body = reply(
        r#"{"Response":{"Result":"0","Description":"Authentication passed","RequestId":"0fcd-1"}}"#,
    );
    criterion.bench_function("read/tencent", |bencher| {
        bencher.iter(|| tencent::client::read_reply(&body, &question, now).unwrap());
    });
    let body =
        reply(r#"{"RequestId":"1","Code":"200","ResultObject":{"BizCode":"1","SubCode":"101"}}"#);
    criterion.bench_function("read/alibaba", |bencher| {
        bencher.iter(|| alibaba::read_reply(&body, &question, AlibabaProduct::Intl, now).unwrap());
    });
}

fn main() -> ExitCode {
    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("sign/tc3", |bencher| bencher.iter(tc3));
    criterion.bench_function("sign/acs3", |bencher| bencher.iter(acs3));
    decoding(&mut criterion);
    criterion.final_summary();
    let mut code = ExitCode::SUCCESS;
    for (name, call) in [("sign/tc3", tc3 as fn() -> String), ("sign/acs3", acs3)] {
        let median = median_ns(call);
        let verdict = if median < BAR_NS { "under" } else { "MISSED" };
        println!(
            "{name}: {:.2} µs, {verdict} the bar of {} µs",
            median / 1e3,
            BAR_NS / 1e3
        );
        if median >= BAR_NS {
            code = ExitCode::FAILURE;
        }
    }
    code
}
