//! Every code of every operation of every vendor, from the emulator to a gRPC client.

use std::collections::BTreeMap;

use cardproof::proto::bankcard::v1::{
    AttemptOutcome, CardInfoResult, CardType, Charge, Factors, ResultCode, Source, Verdict,
};
use cardproof_emulator::{Emulator, Operation, Script, Vendor};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    codes_ace, codes_alibaba,
    house::{Asked, House, ace, alibaba, emulator, section, tencent},
    published::{VERIFICATIONS, charge, published, verdict},
};

/// One scripted reply, and what has to come of it.
pub struct Case {
    /// The provider that is asked.
    pub provider: &'static str,
    pub vendor: Vendor,
    pub operation: Operation,
    /// The vendor's code as the emulator takes it.
    pub code: String,
    /// The vendor's text; `None`: the emulator's own, which is not looked at.
    pub description: Option<String>,
    /// Laid over the reply.
    pub patch: Value,
    pub expect: Expect,
}

/// What has to arrive.
pub struct Expect {
    pub result: String,
    pub verdict: &'static str,
    pub charge: &'static str,
    pub provider_code: String,
    pub message: String,
}

impl Case {
    /// A case in which result, charge and code are as published.
    pub fn plain(
        provider: &'static str,
        vendor: Vendor,
        operation: Operation,
        code: &str,
        description: &str,
        (result, charge): (&str, &'static str),
    ) -> Self {
        let verdict = match operation {
            Operation::CardInfo => "",
            _ => verdict(result),
        };
        Self {
            provider,
            vendor,
            operation,
            code: code.to_owned(),
            description: (vendor != Vendor::Alibaba).then(|| description.to_owned()),
            patch: json!({}),
            expect: Expect {
                result: result.to_owned(),
                verdict,
                charge,
                provider_code: code.to_owned(),
                message: description.to_owned(),
            },
        }
    }

    fn describe(&self) -> String {
        format!(
            "{} {:?} {} {:?} {}",
            self.provider, self.operation, self.code, self.description, self.patch
        )
    }

    fn script(&self, asked: &Asked, request_id: &str) -> Script {
        let mut patch = self.patch.clone();
        match self.vendor {
            Vendor::Ace => patch["trace_id"] = json!(request_id),
            Vendor::Alibaba => patch["RequestId"] = json!(request_id),
            Vendor::Tencent => patch["Response"]["RequestId"] = json!(request_id),
        }
        let reply = cardproof_emulator::Reply::Code {
            code: self.code.clone(),
            description: self.description.clone(),
            status: None,
            patch,
        };
        Script::new(self.vendor)
            .operation(self.operation)
            .card(&asked.card)
            .reply(reply)
    }
}

fn tencent_cases() -> Vec<Case> {
    let published = published();
    let mut cases = Vec::new();
    let operations = VERIFICATIONS.into_iter().chain([Operation::CardInfo]);
    for operation in operations {
        for (code, row) in published.tencent(operation) {
            let meaning = (row.result.as_str(), charge(row.charged));
            for (provider, text) in [
                ("tencent_intl", &row.en),
                ("tencent_mainland", &row.zh),
                ("tencent_temporary", &row.en),
                ("tencent_aes", &row.en),
                ("tencent_sm4", &row.zh),
            ] {
                let case = Case::plain(provider, Vendor::Tencent, operation, code, text, meaning);
                cases.push(case);
            }
            // the code alone decides, whatever the text
            let unknown_text = "a wording that nobody has seen";
            cases.push(Case::plain(
                "tencent_intl",
                Vendor::Tencent,
                operation,
                code,
                unknown_text,
                meaning,
            ));
        }
        let unknown = ("UNKNOWN_PROVIDER_CODE", "UNKNOWN");
        for (code, text) in [
            ("-99", "Authentication passed"),
            ("00", "Authentication passed"),
            ("1", "Authentication passed"),
            // nothing beside it may contradict a match
            ("0", "Card confiscated"),
            ("0", "未查到信息"),
        ] {
            cases.push(Case::plain(
                "tencent_intl",
                Vendor::Tencent,
                operation,
                code,
                text,
                unknown,
            ));
        }
    }
    cases
}

fn providers(emulator: &Emulator, keys: &std::path::Path) -> String {
    let url = &emulator.url();
    let cipher = |name: &str, file: &str| {
        format!(
            "field_encryption = {{ algorithm = \"{name}\", public_key_file = {:?} }}\n",
            keys.join(file)
        )
    };
    [
        ace("ace", url, ""),
        ace("ace_native", url, "code_table = \"native\"\n"),
        tencent("tencent_intl", url, ""),
        tencent("tencent_mainland", url, ""),
        section(
            "tencent_temporary",
            url,
            "tencent",
            "secret_id = { env = \"T_TENCENT_STS_ID\" }\n\
             secret_key = { env = \"T_TENCENT_STS_KEY\" }\n\
             session_token = { env = \"T_TENCENT_STS_TOKEN\" }\n",
        ),
        tencent("tencent_aes", url, &cipher("AES-256-CBC", "rsa.pem")),
        tencent("tencent_sm4", url, &cipher("SM4-GCM", "sm2.pem")),
        alibaba("alibaba_intl", url, "intl", ""),
        alibaba("alibaba_intl_md5", url, "intl", "param_type = \"md5\"\n"),
        alibaba("alibaba_mainland", url, "mainland", ""),
        alibaba(
            "alibaba_mainland_md5",
            url,
            "mainland",
            "param_type = \"md5\"\n",
        ),
        section(
            "alibaba_temporary",
            url,
            "alibaba",
            "product = \"intl\"\naccess_key_id = { env = \"T_ALIBABA_STS_ID\" }\n\
             access_key_secret = { env = \"T_ALIBABA_STS_SECRET\" }\n\
             security_token = { env = \"T_ALIBABA_STS_TOKEN\" }\n",
        ),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_code_of_every_operation_arrives_as_what_it_is() {
    let keys = tempfile::tempdir().unwrap();
    std::fs::write(
        keys.path().join("rsa.pem"),
        cardproof_emulator::RSA_PUBLIC_KEY_PEM,
    )
    .unwrap();
    std::fs::write(
        keys.path().join("sm2.pem"),
        cardproof_emulator::SM2_PUBLIC_KEY_PEM,
    )
    .unwrap();
    let emulator = emulator().await;
    let house = House::open(&["ace"], &providers(&emulator, keys.path())).await;
    let mut cases = tencent_cases();
    cases.extend(codes_ace::cases());
    cases.extend(codes_alibaba::cases());

    let outcomes: Vec<_> = stream::iter(cases.iter().enumerate())
        .map(|(number, case)| run(number, case, &house, &emulator))
        .buffer_unordered(16)
        .collect()
        .await;
    let wrong: Vec<String> = outcomes.into_iter().flatten().collect();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );

    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        *counts.entry(case.vendor.as_str()).or_default() += 1;
    }
    assert!(cases.len() > 200);
    assert_eq!(emulator.summary().received, cases.len() as u64);
    assert_eq!(emulator.summary().accepted, cases.len() as u64);
    println!("codes end to end: {} cases {counts:?}", cases.len());
}

/// Runs one case; everything that is not as it has to be.
async fn run(number: usize, case: &Case, house: &House, emulator: &Emulator) -> Option<String> {
    let asked = Asked::new(case.operation);
    let request_id = format!("scripted-{number}");
    let script = emulator.script(case.script(&asked, &request_id));
    let expected = [
        case.expect.result.as_str(),
        case.expect.verdict,
        case.expect.charge,
        &case.expect.provider_code,
        &case.expect.message,
        &request_id,
    ]
    .join(" | ");
    let got = match case.operation {
        Operation::CardInfo => ask_card_info(house, case, &asked).await,
        _ => ask_verification(house, case, &asked).await,
    };
    emulator.remove_script(script);
    let got = match got {
        Ok(got) => got,
        Err(error) => return Some(format!("{}: {error}", case.describe())),
    };
    if got != expected {
        return Some(format!(
            "{}\n  wanted {expected}\n  got    {got}",
            case.describe()
        ));
    }
    wrong_on_the_wire(case, &asked.entries(emulator))
        .map(|what| format!("{}: {what}", case.describe()))
}

async fn ask_verification(house: &House, case: &Case, asked: &Asked) -> Result<String, String> {
    let answer = house.verify(asked.request(case.provider)).await;
    let answer = answer.map_err(|status| format!("{status:?}"))?;
    let factors = match case.operation {
        Operation::Two => Factors::Two,
        Operation::Three => Factors::Three,
        _ => Factors::Four,
    };
    let as_asked = answer.factors() == factors
        && answer.source() == Source::Provider
        && answer.provider == case.provider
        && one_attempt(&answer.attempts, case.provider, answer.charge());
    if !as_asked || answer.answered_at.is_none() {
        return Err(format!(
            "factors, source or attempts: {:?}",
            answer.attempts
        ));
    }
    let result = ResultCode::try_from(answer.result).unwrap().as_str_name();
    let verdict = Verdict::try_from(answer.verdict).unwrap().as_str_name();
    Ok([
        result.strip_prefix("RESULT_CODE_").unwrap(),
        verdict.strip_prefix("VERDICT_").unwrap(),
        charge_name(answer.charge()),
        &answer.provider_code,
        &answer.provider_message,
        &answer.provider_request_id,
    ]
    .join(" | "))
}

async fn ask_card_info(house: &House, case: &Case, asked: &Asked) -> Result<String, String> {
    let answer = house.card_info(asked.inquiry(case.provider)).await;
    let answer = answer.map_err(|status| format!("{status:?}"))?;
    let found = answer.result() == CardInfoResult::Found;
    // the emulator's world: 622848 is a debit card of the Agricultural Bank of China
    let facts = (answer.bank_name.as_str(), answer.card_type());
    let wanted = if found {
        ("中国农业银行", CardType::Debit)
    } else {
        ("", CardType::Unspecified)
    };
    if facts != wanted {
        return Err(format!("facts: {facts:?}"));
    }
    if !one_attempt(&answer.attempts, case.provider, answer.charge())
        || answer.source() != Source::Provider
    {
        return Err(format!("source or attempts: {:?}", answer.attempts));
    }
    let result = CardInfoResult::try_from(answer.result).unwrap();
    let result = result.as_str_name();
    Ok([
        result.strip_prefix("CARD_INFO_RESULT_").unwrap(),
        "",
        charge_name(answer.charge()),
        &answer.provider_code,
        &answer.provider_message,
        &answer.provider_request_id,
    ]
    .join(" | "))
}

fn one_attempt(
    attempts: &[cardproof::proto::bankcard::v1::Attempt],
    provider: &str,
    charge: Charge,
) -> bool {
    let [attempt] = attempts else { return false };
    attempt.provider == provider
        && attempt.outcome() == AttemptOutcome::Answered
        && attempt.charge() == charge
        && attempt.error_reason.is_empty()
}

fn charge_name(charge: Charge) -> &'static str {
    charge.as_str_name().strip_prefix("CHARGE_").unwrap()
}

/// Whether the one call was made as the provider's settings say.
fn wrong_on_the_wire(case: &Case, entries: &[cardproof_emulator::Entry]) -> Option<String> {
    let [entry] = entries else {
        return Some(format!("{} calls in the ledger", entries.len()));
    };
    let encrypted = match case.provider {
        "tencent_aes" => "AES-256-CBC",
        "tencent_sm4" => "SM4-GCM",
        _ => "",
    };
    let fine = entry.accepted
        && entry.operation == case.operation
        && entry.encrypted == encrypted
        && entry.temporary_credentials == case.provider.ends_with("_temporary")
        && entry.canonical_query;
    (!fine).then(|| format!("{entry:?}"))
}
