//! Every outcome of a vendor call at every place of the route: exactly the attempts that the policy
//! allows, and no others.
//!
//! The vendors before the place have no room, those after it would match. What is expected stands
//! in the table below, which was written by hand from the public contract; what came of it is
//! printed. Three routes, each beginning one vendor later, put every vendor at every place.

use std::{fmt::Write as _, time::Duration};

use cardproof::proto::bankcard::v1::{Attempt, VerifyBankCardRequest};
use cardproof_emulator::{Fault, Reply, Script, Vendor};

use crate::{
    crowd::{Told, ask, word},
    house::{House, asking, card, replicas},
    replica::free_address,
};

const ORDERS: [[Vendor; 3]; 3] = [
    [Vendor::Ace, Vendor::Tencent, Vendor::Alibaba],
    [Vendor::Tencent, Vendor::Alibaba, Vendor::Ace],
    [Vendor::Alibaba, Vendor::Ace, Vendor::Tencent],
];

/// What a vendor does, if it can.
#[derive(Clone, Copy)]
enum Does {
    /// A result code of Ace, Tencent (four factors) and Alibaba.
    Says(&'static str, &'static str, &'static str),
    /// An error code of the same.
    Errs(&'static str, &'static str, &'static str),
    /// The vendor's own words for too many requests.
    Throttles,
    /// The reply is not delivered whole.
    Breaks(Fault),
    /// Bytes that are no reply of the vendor.
    Babbles(u16, &'static str),
}

/// What has to follow.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// It is the last attempt, and this is what the caller is told.
    Ends(&'static str),
    /// The next vendor is asked; with none left, this is what the caller is told.
    GoesOn(&'static str),
}
use Does::{Babbles, Breaks, Errs, Says, Throttles};
use Then::{Ends, GoesOn};

/// No vendor of this kind says so.
const NOT: &str = "";
const CUT: Fault = Fault::CutAfterRead { reset: false };
const RESET: Fault = Fault::CutAfterRead { reset: true };
const TORN: Fault = Fault::ResetMidBody { after_bytes: None };

/// What happens, what the attempt is called, what it cost, and what follows.
type Row = (&'static str, Does, &'static str, &'static str, Then);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("MATCH", Says("0", "0", "101"), "ANSWERED", "CHARGED", Ends("MATCH")),
    ("MISMATCH", Says("-1", "-1", "2"), "ANSWERED", "CHARGED", Ends("MISMATCH")),
    ("CARDHOLDER_INFO_INCORRECT", Says("-4", "-6", "201"), "ANSWERED", "CHARGED", Ends("CARDHOLDER_INFO_INCORRECT")),
    ("PHONE_NOT_REGISTERED", Says(NOT, NOT, "214"), "ANSWERED", "CHARGED", Ends("PHONE_NOT_REGISTERED")),
    ("CARD_CREDENTIALS_INCORRECT", Says(NOT, NOT, "215"), "ANSWERED", "CHARGED", Ends("CARD_CREDENTIALS_INCORRECT")),
    ("CARDLESS_PAYMENT_NOT_ENABLED", Says("-5", "-7", "202"), "ANSWERED", "CHARGED", Ends("CARDLESS_PAYMENT_NOT_ENABLED")),
    ("CARD_CONFISCATED", Says("-6", "-8", "205"), "ANSWERED", "CHARGED", Ends("CARD_CONFISCATED")),
    ("CARD_NUMBER_INVALID", Says("-7", "-9", "206"), "ANSWERED", "CHARGED", Ends("CARD_NUMBER_INVALID")),
    ("NO_ISSUING_BANK", Says("-8", "-10", "207"), "ANSWERED", "CHARGED", Ends("NO_ISSUING_BANK")),
    ("CARD_UNINITIALIZED_OR_DORMANT", Says("-9", "-11", "208"), "ANSWERED", "CHARGED", Ends("CARD_UNINITIALIZED_OR_DORMANT")),
    ("CARD_FRAUDULENT_OR_RETAINED", Says("-10", "-12", "209"), "ANSWERED", "CHARGED", Ends("CARD_FRAUDULENT_OR_RETAINED")),
    ("CARD_REPORTED_LOST", Says("-11", "-13", "210"), "ANSWERED", "CHARGED", Ends("CARD_REPORTED_LOST")),
    ("CARD_EXPIRED", Says("-12", "-14", "203"), "ANSWERED", "CHARGED", Ends("CARD_EXPIRED")),
    ("CARD_RESTRICTED", Says("-13", "-15", "204"), "ANSWERED", "CHARGED", Ends("CARD_RESTRICTED")),
    ("PIN_ATTEMPTS_EXCEEDED", Says("-14", "-16", "211"), "ANSWERED", "CHARGED", Ends("PIN_ATTEMPTS_EXCEEDED")),
    ("CARD_STATUS_ABNORMAL", Says(NOT, "-21", "213"), "ANSWERED", "CHARGED", Ends("CARD_STATUS_ABNORMAL")),
    ("CARD_OTHER_EXCEPTION", Says(NOT, NOT, "216"), "ANSWERED", "CHARGED", Ends("CARD_OTHER_EXCEPTION")),
    ("NAME_INVALID", Says("-2", "-2", NOT), "ANSWERED", "NOT_CHARGED", Ends("NAME_INVALID")),
    ("ID_NUMBER_INVALID", Says(NOT, "-3", NOT), "ANSWERED", "NOT_CHARGED", Ends("ID_NUMBER_INVALID")),
    ("CARD_NUMBER_FORMAT_INVALID", Says("-3", "-4", "304"), "ANSWERED", "NOT_CHARGED", Ends("CARD_NUMBER_FORMAT_INVALID")),
    ("PHONE_INVALID", Says(NOT, "-5", NOT), "ANSWERED", "NOT_CHARGED", Ends("PHONE_INVALID")),
    ("IDENTITY_TYPE_UNSUPPORTED", Says(NOT, "-20", NOT), "ANSWERED", "NOT_CHARGED", Ends("IDENTITY_TYPE_UNSUPPORTED")),
    ("BANK_REFUSED", Says(NOT, NOT, "302"), "ANSWERED", "NOT_CHARGED", Ends("BANK_REFUSED")),
    ("PHONE_VERIFICATION_UNSUPPORTED", Says(NOT, NOT, "303"), "ANSWERED", "NOT_CHARGED", Ends("PHONE_VERIFICATION_UNSUPPORTED")),
    ("UNVERIFIABLE", Says(NOT, NOT, "305"), "ANSWERED", "NOT_CHARGED", Ends("UNVERIFIABLE")),
    ("ATTEMPTS_EXCEEDED", Says("-17", "-19", "306"), "ANSWERED", "NOT_CHARGED", Ends("ATTEMPTS_EXCEEDED")),
    ("UNKNOWN_PROVIDER_CODE", Says("-98", "-98", "4"), "ANSWERED", "UNKNOWN", Ends("UNKNOWN_PROVIDER_CODE")),
    // answers that are none: another vendor may know
    ("ISSUER_UNSUPPORTED", Says("-15", "-17", "212"), "ANSWERED", "CHARGED", GoesOn("ISSUER_UNSUPPORTED")),
    ("CARD_UNSUPPORTED", Says(NOT, NOT, "301"), "ANSWERED", "NOT_CHARGED", GoesOn("CARD_UNSUPPORTED")),
    ("SERVICE_BUSY", Says("-16", "-18", NOT), "ANSWERED", "NOT_CHARGED", GoesOn("SERVICE_BUSY")),
    // surely not run
    ("throttled", Throttles, "THROTTLED", "NOT_CHARGED", GoesOn("PROVIDERS_UNAVAILABLE")),
    ("clock skewed", Errs(NOT, "AuthFailure.SignatureExpire", "InvalidTimeStamp.Expired"), "MISCONFIGURED", "NOT_CHARGED", GoesOn("PROVIDERS_UNAVAILABLE")),
    (SKIPS[0], Errs("invalid_token", "AuthFailure.SignatureFailure", "SignatureDoesNotMatch"), "MISCONFIGURED", "NOT_CHARGED", GoesOn("PROVIDERS_UNAVAILABLE")),
    (SKIPS[1], Errs("used_up", "UnauthorizedOperation.Arrears", NOT), "OUT_OF_CREDIT", "NOT_CHARGED", GoesOn("PROVIDERS_UNAVAILABLE")),
    // called invalid: the next vendor would say so too
    ("refused", Errs("bad_request", "InvalidParameter", "InvalidParameter"), "REFUSED", "NOT_CHARGED", Ends("PROVIDER_REFUSED")),
    // may have run
    ("internal error", Errs("api_error", "InternalError", "InternalError"), "OUTCOME_UNKNOWN", "UNKNOWN", Ends("OUTCOME_UNKNOWN")),
    ("an error that nobody knows", Errs("something_new", "SomethingNew", "SomethingNew"), "OUTCOME_UNKNOWN", "UNKNOWN", Ends("OUTCOME_UNKNOWN")),
    ("seen before", Errs(NOT, NOT, "SignatureNonceUsed"), "OUTCOME_UNKNOWN", "UNKNOWN", Ends("OUTCOME_UNKNOWN")),
    ("cut after it was read", Breaks(CUT), "OUTCOME_UNKNOWN", "UNKNOWN", Ends("OUTCOME_UNKNOWN")),
    ("reset after it was read", Breaks(RESET), "OUTCOME_UNKNOWN", "UNKNOWN", Ends("OUTCOME_UNKNOWN")),
    ("torn in its body", Breaks(TORN), "OUTCOME_UNKNOWN", "UNKNOWN", Ends("OUTCOME_UNKNOWN")),
    ("no JSON", Babbles(200, "<html>"), "OUTCOME_UNKNOWN", "UNKNOWN", Ends("OUTCOME_UNKNOWN")),
    ("a gateway's page", Babbles(502, "bad gateway"), "OUTCOME_UNKNOWN", "UNKNOWN", Ends("OUTCOME_UNKNOWN")),
];

/// After these a vendor is passed over for `misconfigured_skip_s`.
const SKIPS: [&str; 2] = ["credentials not accepted", "out of credit"];
const SKIPPED_FOR: Duration = Duration::from_millis(1300);

/// A question of four factors about a card of its own.
fn asked(number: usize) -> VerifyBankCardRequest {
    VerifyBankCardRequest {
        id_number: "11010519491231002X".to_owned(),
        phone: "13800138000".to_owned(),
        ..asking(&card(number), "张三")
    }
}

fn script(vendor: Vendor, does: Does) -> Option<Script> {
    let script = Script::new(vendor);
    let one_of = |ace, tencent, alibaba| {
        let code: &'static str = match vendor {
            Vendor::Ace => ace,
            Vendor::Tencent => tencent,
            Vendor::Alibaba => alibaba,
        };
        (!code.is_empty()).then_some(code)
    };
    Some(match does {
        Says(ace, tencent, alibaba) => script.code(one_of(ace, tencent, alibaba)?),
        Errs(ace, tencent, alibaba) => script.error(one_of(ace, tencent, alibaba)?),
        Throttles => script.reply(Reply::Throttled),
        Breaks(fault) => script.fault(fault),
        Babbles(status, body) => script.raw(status, "text/html", body.as_bytes()),
    })
}

/// An attempt as the table has it.
type Line = (String, String, String);

fn line(provider: &str, outcome: &str, charge: &str) -> Line {
    (provider.to_owned(), outcome.to_owned(), charge.to_owned())
}

fn lines(attempts: &[Attempt]) -> Vec<Line> {
    let short = |text: &'static str, prefix: &str| text.trim_start_matches(prefix).to_owned();
    let attempts = attempts.iter().map(|attempt| {
        let outcome = short(attempt.outcome().as_str_name(), "ATTEMPT_OUTCOME_");
        let charge = short(attempt.charge().as_str_name(), "CHARGE_");
        (attempt.provider.clone(), outcome, charge)
    });
    attempts.collect()
}

/// Asks with a scripted vendor at a place, and compares. Says what came of it.
async fn at_place(
    house: &House,
    order: [Vendor; 3],
    place: usize,
    row: Row,
    number: usize,
) -> String {
    let (what, does, outcome, charge, then) = row;
    let vendor = order[place];
    let Some(script) = script(vendor, does) else {
        return String::new();
    };
    let asked = asked(number);
    let of_card = |script: Script| house.emulator.script(script.card(&*asked.bank_card));
    let mut expected = Vec::new();
    for before in &order[..place] {
        of_card(Script::new(*before).reply(Reply::Throttled));
        expected.push(line(before.as_str(), "THROTTLED", "NOT_CHARGED"));
    }
    of_card(script);
    expected.push(line(vendor.as_str(), outcome, charge));
    let told_word = match (then, order.get(place + 1)) {
        (GoesOn(_), Some(next)) => {
            expected.push(line(next.as_str(), "ANSWERED", "CHARGED"));
            "MATCH"
        }
        (GoesOn(word) | Ends(word), _) => word,
    };
    let told = ask(&house.client(0), asked.clone()).await;
    let described = format!("{what} at place {place}, {}", vendor.as_str());
    assert_eq!(word(&told), told_word, "{described}: {told:?}");
    // the vendors' own books: everybody in the line was asked once, in order, and nobody else
    let booked: Vec<_> = house
        .calls(&asked)
        .iter()
        .map(|it| it.vendor.as_str())
        .collect();
    let sent: Vec<_> = expected
        .iter()
        .map(|(provider, ..)| provider.as_str())
        .collect();
    assert_eq!(booked, sent, "{described}");
    compare_attempts(&told, &expected, &described);
    // asked again, what is definite or held costs nothing; what was never answered may be asked anew
    if let Ends("OUTCOME_UNKNOWN") = then {
        let again = ask(&house.client(0), asked.clone()).await;
        assert_eq!(word(&again), "OUTCOME_UNKNOWN", "{described}: it is held");
        assert_eq!(
            house.calls(&asked).len(),
            booked.len(),
            "{described}: it is held"
        );
    }
    if SKIPS.contains(&what) {
        tokio::time::sleep(SKIPPED_FOR).await;
    }
    let way = expected
        .iter()
        .map(|(who, what, charge)| format!("{who} {what}/{charge}"));
    let way = way.collect::<Vec<_>>().join(", ");
    format!("{what:32} {}. {way} = {told_word}\n", place + 1)
}

/// Answers show their attempts; of errors that name all providers, the reasons are compared.
fn compare_attempts(told: &Told, expected: &[Line], described: &str) {
    if let Ok(answer) = told {
        assert_eq!(lines(&answer.attempts), expected, "{described}");
        let charge = answer.charge().as_str_name().trim_start_matches("CHARGE_");
        let any = |of: &str| expected.iter().any(|(.., charge)| charge == of);
        let total = match (any("CHARGED"), any("UNKNOWN")) {
            (true, _) => "CHARGED",
            (false, true) => "UNKNOWN",
            (false, false) => "NOT_CHARGED",
        };
        assert_eq!(charge, total, "{described}");
    }
}

fn route(order: [Vendor; 3]) -> String {
    format!("{:?}", order.map(Vendor::as_str))
}

async fn all_of_one_order(order: [Vendor; 3]) -> String {
    let house = replicas(1)
        .with("ROUTES__VERIFY", route(order))
        .with("ROUTES__RETRIES_PER_SECOND", 0)
        .with("PROVIDERS__ACE__MISCONFIGURED_SKIP_S", 1)
        .with("PROVIDERS__TENCENT__MISCONFIGURED_SKIP_S", 1)
        .with("PROVIDERS__ALIBABA__MISCONFIGURED_SKIP_S", 1)
        .open()
        .await;
    let mut report = String::new();
    for (number, row) in TABLE.iter().enumerate() {
        for place in 0..order.len() {
            report += &at_place(&house, order, place, *row, number * 3 + place).await;
        }
    }
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_outcome_at_every_place() {
    let [first, second, third] = ORDERS.map(all_of_one_order);
    let (first, second, third) = tokio::join!(first, second, third);
    let report = first + &second + &third;
    println!("{report}{} ways past three vendors", report.lines().count());
    // every row was possible somewhere
    for (what, ..) in TABLE {
        assert!(report.contains(what), "nobody can play: {what}");
    }
}

/// Vendors that are not asked at all: unreachable, out of budget, switched off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_asked_is_passed_over_at_every_place() {
    let nowhere = format!("http://{}", free_address());
    let unreachable = ("PROVIDERS__TENCENT__ENDPOINT", nowhere.as_str());
    let dear = (
        "PROVIDERS__TENCENT__PRICE",
        "{ currency = \"CNY\", two = 2, three = 2, four = 2, card_info = 2 }",
    );
    let poor = (
        "PROVIDERS__TENCENT__DAILY_BUDGET",
        "{ currency = \"CNY\", amount = 1 }",
    );
    let off = ("PROVIDERS__TENCENT__MAINTENANCE", "true");
    for (variables, outcome) in [
        (vec![unreachable], "NOT_SENT"),
        (vec![dear, poor], "BUDGET_SPENT"),
        (vec![off], ""),
    ] {
        for place in 0..3 {
            let mut order = vec![Vendor::Ace, Vendor::Alibaba];
            order.insert(place, Vendor::Tencent);
            let names: Vec<_> = order.iter().map(|vendor| vendor.as_str()).collect();
            let mut plan = replicas(1)
                .with("ROUTES__VERIFY", format!("{names:?}"))
                .with("ROUTES__RETRIES_PER_SECOND", 0);
            for (name, value) in &variables {
                plan = plan.with(name, value);
            }
            let house = plan.open().await;
            let asked = asked(place);
            let mut expected = Vec::new();
            for before in &order[..place] {
                let script = Script::new(*before).reply(Reply::Throttled);
                house.emulator.script(script);
                expected.push(line(before.as_str(), "THROTTLED", "NOT_CHARGED"));
            }
            if !outcome.is_empty() {
                expected.push(line("tencent", outcome, "NOT_CHARGED"));
            }
            let told = ask(&house.client(0), asked.clone()).await;
            let mut described = String::new();
            write!(described, "{outcome} at place {place}").unwrap();
            if let Some(next) = order.get(place + 1) {
                expected.push(line(next.as_str(), "ANSWERED", "CHARGED"));
                assert_eq!(word(&told), "MATCH", "{described}");
                compare_attempts(&told, &expected, &described);
            } else {
                assert_eq!(word(&told), "PROVIDERS_UNAVAILABLE", "{described}");
            }
            let booked = house.calls(&asked);
            assert!(booked.iter().all(|call| call.vendor != Vendor::Tencent));
            assert_eq!(booked.len(), (place + 1).min(2), "{described}");
            println!("{described}: {}", word(&told));
        }
    }
}

/// With the switch off, an issuer that is not served is an answer like others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsupported_issuers_end_it_where_the_operator_says_so() {
    let order = ORDERS[2];
    let house = replicas(1)
        .with("ROUTES__VERIFY", route(order))
        .with("ROUTES__FAILOVER_ON_UNSUPPORTED", false)
        .with("ROUTES__RETRIES_PER_SECOND", 0)
        .open()
        .await;
    for (at, what) in ["ISSUER_UNSUPPORTED", "CARD_UNSUPPORTED"]
        .into_iter()
        .enumerate()
    {
        let row = TABLE.iter().find(|row| row.0 == what).unwrap();
        for place in 0..3 {
            let ends = (row.0, row.1, row.2, row.3, Ends(what));
            print!(
                "{}",
                at_place(&house, order, place, ends, at * 3 + place).await
            );
        }
    }
}
