//! Replies that are none: never a match, never asked again, and nothing of them is shown.

use cardproof::proto::bankcard::v1::{Charge, Verdict, VerifyBankCardResponse};
use cardproof_emulator::{Fault, Operation, Reply, Script, Vendor};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::house::{Asked, House, ace, alibaba, emulator, reason, tencent};

const JSON: &str = "application/json";
const MATCHES: [(Vendor, &str, &str); 3] = [
    (
        Vendor::Ace,
        "ace",
        r#"{"result":"0","description":"Authentication passed"}"#,
    ),
    (
        Vendor::Tencent,
        "tencent",
        r#"{"Response":{"Result":"0","Description":"Authentication passed","RequestId":"r-1"}}"#,
    ),
    (
        Vendor::Alibaba,
        "alibaba",
        r#"{"RequestId":"r-1","Code":"200","Message":"success","ResultObject":{"BizCode":"1","SubCode":"101"}}"#,
    ),
];

/// Status, content type, body, and why it is no match.
type Bad = (u16, &'static str, Vec<u8>, &'static str);

fn for_every_vendor(good: &str) -> Vec<Bad> {
    let text = |text: &str| text.as_bytes().to_vec();
    let half = &good[..good.len() / 2];
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let doubled = format!("{good}{good}");
    vec![
        (
            200,
            "text/html",
            text("<html><body>502 Bad Gateway</body></html>"),
            "HTML",
        ),
        (
            502,
            "text/html",
            text("<html>502</html>"),
            "HTML of a gateway",
        ),
        (200, JSON, text(half), "truncated"),
        (
            200,
            JSON,
            text(&good[..good.len() - 1]),
            "without its last bracket",
        ),
        (200, JSON, Vec::new(), "nothing"),
        (200, JSON, text("null"), "null"),
        (200, JSON, text("[]"), "a list"),
        (200, JSON, text("\"0\""), "a text"),
        (200, JSON, text("0"), "a number"),
        (200, JSON, text("{}"), "an empty object"),
        (200, JSON, text(&doubled), "two replies in one"),
        (200, JSON, text(&format!("[{good}]")), "a match in a list"),
        (200, JSON, utf16, "UTF-16"),
        (500, JSON, text(good), "500 with a match"),
        (201, JSON, text(good), "201 with a match"),
        (204, JSON, Vec::new(), "204"),
        (302, JSON, text(good), "302 with a match"),
        (400, JSON, text(good), "400 with a match"),
        (404, JSON, text(good), "404 with a match"),
        (
            200,
            JSON,
            format!("{{\"pad\":\"{}\"}}", "x".repeat(70_000)).into_bytes(),
            "too long",
        ),
        (200, JSON, "{\"a\":".repeat(20_000).into_bytes(), "too deep"),
    ]
}

fn of_ace() -> Vec<Bad> {
    let bad = |body: &str, why| (200, JSON, body.as_bytes().to_vec(), why);
    // 认证通过 in GBK
    let mut gbk = b"{\"result\":\"0\",\"description\":\"".to_vec();
    gbk.extend_from_slice(b"\xc8\xcf\xd6\xa4\xcd\xa8\xb9\xfd\"}");
    vec![
        (200, JSON, gbk, "GBK"),
        bad(r#"{"result":"0","result":"-1"}"#, "duplicate keys"),
        bad(
            r#"{"result":"0","result":"0"}"#,
            "duplicate keys that agree",
        ),
        bad(
            r#"{"result":"0","error":{"code":"api_error"}}"#,
            "a result beside an error",
        ),
        bad(
            r#"{"result":"0","error":null}"#,
            "a result beside an empty error",
        ),
        bad(
            r#"{"result":"0","success":false}"#,
            "a result that says no success",
        ),
        bad(
            r#"{"success":false,"error":{"code":"api_error","message":"x"}}"#,
            "200 with an error",
        ),
        bad(
            r#"{"success":false,"error":"boom"}"#,
            "an error that is a text",
        ),
        bad(r#"{"result":0.0}"#, "a fraction"),
        bad(r#"{"result":true}"#, "a truth"),
        bad(r#"{"result":["0"]}"#, "a list"),
        bad(r#"{"result":{"code":"0"}}"#, "an object"),
        bad(r#"{"Result":"0"}"#, "another letter case"),
        bad(r#"{"data":{"result":"0"}}"#, "a result elsewhere"),
        bad(
            r#"{"result":"0","description":7}"#,
            "a description that is no text",
        ),
    ]
}

fn of_tencent() -> Vec<Bad> {
    let bad = |body: &str, why| (200, JSON, body.as_bytes().to_vec(), why);
    let mut gbk = b"{\"Response\":{\"Result\":\"0\",\"Description\":\"".to_vec();
    gbk.extend_from_slice(b"\xc8\xcf\xd6\xa4\xcd\xa8\xb9\xfd\"}}");
    vec![
        (200, JSON, gbk, "GBK"),
        bad(r#"{"Response":{"Result":0}}"#, "a number for a text"),
        bad(
            r#"{"Response":{"Result":"0","Result":"-1"}}"#,
            "duplicate keys",
        ),
        bad(
            r#"{"Response":{"Result":"0"},"Response":{"Result":"-1"}}"#,
            "duplicate replies",
        ),
        bad(
            r#"{"Response":{"Result":"0","Error":{"Code":"InternalError"}}}"#,
            "beside an error",
        ),
        bad(
            r#"{"Response":{"Result":"0","Error":null}}"#,
            "beside an empty error",
        ),
        bad(
            r#"{"Response":{"Result":"0"},"Error":{"Code":"x"}}"#,
            "beside a stray error",
        ),
        bad(
            r#"{"Response":{"Error":{"Code":"InternalError","Message":"x"}}}"#,
            "an error",
        ),
        bad(
            r#"{"Response":{"Error":{"Code":7}}}"#,
            "an error that is a number",
        ),
        bad(r#"{"Response":{"Result":["0"]}}"#, "a list"),
        bad(r#"{"Response":"0"}"#, "a text for the reply"),
        bad(r#"{"response":{"Result":"0"}}"#, "another letter case"),
        bad(r#"{"Result":"0"}"#, "a result elsewhere"),
    ]
}

fn of_alibaba() -> Vec<Bad> {
    let bad = |body: &str, why| (200, JSON, body.as_bytes().to_vec(), why);
    let mut gbk = b"{\"Code\":\"200\",\"Message\":\"\xb3\xc9\xb9\xa6\",".to_vec();
    gbk.extend_from_slice(br#""ResultObject":{"BizCode":"1","SubCode":"101"}}"#);
    vec![
        (200, JSON, gbk, "GBK"),
        bad(
            r#"{"Code":200,"ResultObject":{"BizCode":"1"}}"#,
            "a number for a text",
        ),
        bad(
            r#"{"Code":"200","ResultObject":{"BizCode":1,"SubCode":"101"}}"#,
            "a number below",
        ),
        bad(
            r#"{"Code":"200","ResultObject":{"BizCode":"1","SubCode":101}}"#,
            "a number below",
        ),
        bad(
            r#"{"Code":"200","Code":"500","ResultObject":{"BizCode":"1"}}"#,
            "duplicate keys",
        ),
        bad(
            r#"{"Code":"200","code":"500","ResultObject":{"BizCode":"1"}}"#,
            "in two spellings",
        ),
        bad(
            r#"{"Code":"200","ResultObject":{"BizCode":"2","BizCode":"1"}}"#,
            "duplicate below",
        ),
        bad(
            r#"{"Code":"200","ResultObject":{"BizCode":"1"},"ResultObject":{}}"#,
            "two results",
        ),
        bad(r#"{"Code":"200"}"#, "no result"),
        bad(r#"{"Code":"200","ResultObject":null}"#, "an empty result"),
        bad(
            r#"{"Code":"200","ResultObject":{}}"#,
            "a result without codes",
        ),
        bad(r#"{"Code":"200","ResultObject":[]}"#, "a list"),
        bad(
            r#"{"Code":"200","ResultObject":{"SubCode":"101"}}"#,
            "no BizCode",
        ),
        bad(
            r#"{"ResultObject":{"BizCode":"1","SubCode":"101"}}"#,
            "no Code",
        ),
        bad(
            r#"{"Code":"InternalError","ResultObject":{"BizCode":"1"}}"#,
            "beside an error",
        ),
        bad(
            r#"{"Code":"ServiceUnavailable","Message":"x"}"#,
            "200 with an error",
        ),
        bad(
            r#"{"code":"InternalError","message":"x"}"#,
            "an error in lower case",
        ),
    ]
}

fn is_never_a_match(answer: Result<VerifyBankCardResponse, Status>, provider: &str, why: &str) {
    let status = match answer {
        Ok(answer) => panic!("{provider}: {why}: {:?}", answer.verdict()),
        Err(status) => status,
    };
    assert_eq!(status.code(), Code::Unknown, "{provider}: {why}");
    assert_eq!(
        reason(&status, provider).0,
        "OUTCOME_UNKNOWN",
        "{provider}: {why}"
    );
}

async fn open(url: &str) -> House {
    let config = [
        ace("ace", url, ""),
        tencent("tencent", url, ""),
        alibaba("alibaba", url, "intl", ""),
    ]
    .concat();
    House::open(&["ace", "tencent", "alibaba"], &config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_never_a_match_and_never_asked_again() {
    let emulator = emulator().await;
    let house = open(&emulator.url()).await;
    let mut count = 0;
    for (vendor, provider, good) in MATCHES {
        let mut bad = for_every_vendor(good);
        bad.extend(match vendor {
            Vendor::Ace => of_ace(),
            Vendor::Tencent => of_tencent(),
            Vendor::Alibaba => of_alibaba(),
        });
        for (status, content_type, body, why) in bad {
            // unpinned: were it asked elsewhere, somebody else would answer
            let asked = Asked::new(Operation::Three);
            let script = Script::new(vendor).raw(status, content_type, &body);
            emulator.script(script.card(&asked.card));
            let answer = house.verify(asked.request(provider)).await;
            is_never_a_match(answer, provider, why);
            // held: asked again, nobody is called
            let again = house.verify(asked.request(provider)).await;
            is_never_a_match(again, provider, why);
            assert_eq!(asked.entries(&emulator).len(), 1, "{provider}: {why}");
            emulator.clear_scripts();
            count += 1;
        }
        // the same reply as it should be, whatever it claims to be
        for content_type in [JSON, "text/plain", "text/html; charset=gbk", ""] {
            let asked = Asked::new(Operation::Three);
            let script = Script::new(vendor).raw(200, content_type, good.as_bytes());
            emulator.script(script.card(&asked.card));
            let answer = house.verify(asked.request(provider)).await.unwrap();
            assert_eq!(
                answer.verdict(),
                Verdict::Match,
                "{provider} {content_type}"
            );
            assert_eq!(answer.charge(), Charge::Charged);
            emulator.clear_scripts();
        }
    }
    println!("garbage end to end: {count} replies");
}

/// What vendors do send, and what must not be in the way of an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_decide_is_read_leniently_and_never_passed_on_unseen() {
    let emulator = emulator().await;
    let house = open(&emulator.url()).await;
    let cases: [(Vendor, &str, Value); 5] = [
        (
            Vendor::Ace,
            "ace",
            json!({"more": {"deep": [1, 2]}, "success": true}),
        ),
        // a number is read as its digits
        (Vendor::Ace, "ace", json!({"result": 0})),
        (
            Vendor::Tencent,
            "tencent",
            json!({"Response": {"More": [1]}, "more": 1}),
        ),
        (
            Vendor::Tencent,
            "tencent",
            json!({"Response": {"Description": null, "RequestId": 7}}),
        ),
        (
            Vendor::Alibaba,
            "alibaba",
            json!({"Message": 7, "ResultObject": {"More": {}}}),
        ),
    ];
    for (vendor, provider, patch) in cases {
        let asked = Asked::new(Operation::Two);
        let code = if vendor == Vendor::Alibaba {
            "101"
        } else {
            "0"
        };
        let script = Script::new(vendor).code(code).patch(patch.clone());
        emulator.script(script.card(&asked.card));
        let answer = house.verify(asked.request(provider)).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Match, "{provider} {patch}");
        emulator.clear_scripts();
    }
    // a vendor that repeats what it was asked is not quoted
    for (vendor, provider) in [(Vendor::Ace, "ace"), (Vendor::Tencent, "tencent")] {
        let asked = Asked::new(Operation::Two);
        let echo = format!("card {} of {} has a problem", asked.card, asked.name);
        let reply = Reply::Code {
            code: "-1".to_owned(),
            description: Some(echo),
            status: None,
            patch: match vendor {
                Vendor::Ace => json!({"trace_id": asked.card}),
                _ => json!({"Response": {"RequestId": asked.card}}),
            },
        };
        emulator.script(Script::new(vendor).card(&asked.card).reply(reply));
        let answer = house.verify(asked.request(provider)).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Mismatch);
        assert_eq!(
            (&*answer.provider_message, &*answer.provider_request_id),
            ("", "")
        );
        emulator.clear_scripts();
    }
    // and its error is not either
    let asked = Asked::new(Operation::Two);
    let script = Script::new(Vendor::Ace).error(asked.card.clone());
    emulator.script(script.fault(Fault::None));
    let status = house.verify(asked.request("ace")).await.unwrap_err();
    assert!(!format!("{status:?}").contains(&asked.card));
}
