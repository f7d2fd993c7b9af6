//! A second opinion on replies: whether one is exactly a match, judged without the decoders.
//!
//! It shares nothing with them but the JSON library's grammar: it keeps its own tree, its own rules
//! and the vendors' published phrases. The fuzz target and the bounded run use it alike.

use std::{collections::BTreeSet, fmt, sync::LazyLock};

use cardproof::{
    config::providers::{AceCodeTable, AlibabaProduct},
    domain::{
        Answer, CardInfoResult, CardInquiry, CardNumber, CardRef, Charge, Finding, Identity,
        IdentityType, Operation, PersonName, Phone, Question, Verdict, Verification,
        question::Proof,
    },
    provider::{ProviderError, ace, alibaba, http::HttpReply, tencent},
};
use jiff::{Timestamp, civil::date};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// Whose replies are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    Ace,
    Tencent,
    Alibaba,
}

impl Vendor {
    pub const ALL: [Self; 3] = [Self::Ace, Self::Tencent, Self::Alibaba];
}

/// Everything about a reply that decides how it is read.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub vendor: Vendor,
    pub operation: Operation,
    pub status: u16,
    /// Ace's native table, Alibaba's mainland product.
    pub other: bool,
}

impl Setting {
    /// A setting for any byte; most of them have status 200.
    pub fn from_byte(vendor: Vendor, byte: u8) -> Self {
        let operation = match byte & 3 {
            0 => Operation::VerifyTwo,
            1 => Operation::VerifyThree,
            2 => Operation::VerifyFour,
            _ if vendor == Vendor::Alibaba => Operation::VerifyTwo,
            _ => Operation::CardInfo,
        };
        let status = match byte >> 3 {
            0 => 500,
            1 => 429,
            2 => 201,
            _ => 200,
        };
        Self {
            vendor,
            operation,
            status,
            other: byte & 4 != 0,
        }
    }
}

/// What came of one reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Match,
    OtherAnswer,
    NoAnswer,
}

/// Reads a reply both ways.
///
/// # Panics
/// When the decoder says match and the judge does not, or the other way round; when an answer or an
/// error says what it must not.
pub fn check(setting: Setting, body: &[u8]) -> Seen {
    let read = decode(setting, body);
    let said_match = read.as_ref().is_ok_and(is_match);
    let judged = is_exactly_a_match(setting, body);
    let shown = || String::from_utf8_lossy(body).into_owned();
    assert_eq!(said_match, judged, "{setting:?}: {}", shown());
    match read {
        Ok(answer) => {
            if said_match {
                assert_eq!(answer.charge, Charge::Charged, "{setting:?}: {}", shown());
            }
            let answered = setting.status == 200 || answer.charge == Charge::NotCharged;
            assert!(answered, "{setting:?}: {}", shown());
            assert!(!format!("{answer:?}").contains(CARD), "{}", shown());
            if said_match {
                Seen::Match
            } else {
                Seen::OtherAnswer
            }
        }
        Err(error) => {
            assert!(!format!("{error:?} {error}").contains(CARD), "{}", shown());
            Seen::NoAnswer
        }
    }
}

pub const CARD: &str = "6222020000000000000";

fn decode(setting: Setting, body: &[u8]) -> Result<Answer, ProviderError> {
    let reply = HttpReply {
        status: setting.status,
        body: Zeroizing::new(body.to_vec()),
        content_type: None,
        retry_after: None,
        clock_skew_seconds: None,
    };
    let question = &QUESTIONS[setting.operation as usize];
    let now = Timestamp::UNIX_EPOCH;
    match setting.vendor {
        Vendor::Tencent => tencent::client::read_reply(&reply, question, now),
        Vendor::Ace => {
            let table = if setting.other {
                AceCodeTable::Native
            } else {
                AceCodeTable::Documented
            };
            ace::read_reply(&reply, question, table, now).map(|said| said.answer)
        }
        Vendor::Alibaba => {
            let product = if setting.other {
                AlibabaProduct::Mainland
            } else {
                AlibabaProduct::Intl
            };
            alibaba::read_reply(&reply, question, product, now)
        }
    }
}

fn is_match(answer: &Answer) -> bool {
    match &answer.finding {
        Finding::Verification { .. } => answer.finding.verdict() == Some(Verdict::Match),
        Finding::CardInfo { result, .. } => *result == CardInfoResult::Found,
    }
}

/// One question of each operation, in the operations' order.
static QUESTIONS: LazyLock<Vec<Question>> = LazyLock::new(|| {
    let identity = || {
        Identity::parse(
            IdentityType::ResidentId,
            "11010519491231002X",
            date(2026, 6, 1),
        )
        .unwrap()
    };
    Operation::ALL
        .iter()
        .map(|operation| {
            let proof = match operation {
                Operation::CardInfo => {
                    return Question::CardInfo(CardInquiry {
                        card: CardRef::parse(CARD).unwrap(),
                    });
                }
                Operation::VerifyTwo => Proof::NameOnly,
                Operation::VerifyThree => Proof::Identity(identity()),
                Operation::VerifyFour => {
                    Proof::IdentityAndPhone(identity(), Phone::parse("13800138000").unwrap())
                }
            };
            Question::Verify(Verification {
                card: CardNumber::parse(CARD).unwrap(),
                name: PersonName::parse("张三").unwrap(),
                proof,
            })
        })
        .collect()
});

/// The rules, once more and in other words: the exact code at its exact place, once, in a reply of
/// status 200 without an error and without a phrase of something else.
fn is_exactly_a_match(setting: Setting, body: &[u8]) -> bool {
    if setting.status != 200 || std::str::from_utf8(body).is_err() {
        return false;
    }
    let Ok(Tree::Object(top)) = serde_json::from_slice::<Tree>(body) else {
        return false;
    };
    match setting.vendor {
        Vendor::Ace => ace_matches(&top, setting.operation),
        Vendor::Tencent => tencent_matches(&top, setting.operation),
        Vendor::Alibaba => alibaba_matches(&top),
    }
}

fn ace_matches(top: &Members, operation: Operation) -> bool {
    let names = [
        "result",
        "error",
        "success",
        "description",
        "trace_id",
        "account_bank",
        "account_type",
    ];
    let code = matches!(top.one("result"), Some(Tree::Text(code)) if code == "0")
        || matches!(top.one("result"), Some(Tree::Zero));
    let success = matches!(top.one("success"), None | Some(Tree::True));
    let description = match top.one("description") {
        None | Some(Tree::Null) => true,
        Some(Tree::Text(text)) => !contradicts(text, operation),
        Some(_) => false,
    };
    top.none_twice(&names) && top.count("error") == 0 && code && success && description
}

fn tencent_matches(top: &Members, operation: Operation) -> bool {
    let names = [
        "Error",
        "Result",
        "Description",
        "RequestId",
        "AccountBank",
        "AccountType",
    ];
    let stray = top.count("Error") + top.count("error");
    let Some(Tree::Object(response)) = top.one("Response") else {
        return false;
    };
    let description = match response.one("Description") {
        Some(Tree::Text(text)) => !contradicts(text, operation),
        _ => true,
    };
    stray == 0
        && top.none_twice(&["Response"])
        && response.none_twice(&names)
        && response.count("Error") == 0
        && matches!(response.one("Result"), Some(Tree::Text(code)) if code == "0")
        && description
}

fn alibaba_matches(top: &Members) -> bool {
    let once = ["Code", "ResultObject", "RequestId"]
        .iter()
        .all(|name| top.count_in_any_case(name) <= 1);
    let success = matches!(
        top.one("Code"),
        Some(Tree::Text(code)) if code == "200" || code.eq_ignore_ascii_case("success")
    );
    let Some(Tree::Object(result)) = top.one("ResultObject") else {
        return false;
    };
    let biz_code = matches!(result.one("BizCode"), Some(Tree::Text(code)) if code == "1");
    let sub_code = match result.one("SubCode") {
        None | Some(Tree::Null) => true,
        Some(Tree::Text(code)) => code == "101" || code.is_empty(),
        Some(_) => false,
    };
    once && success && biz_code && sub_code && result.none_twice(&["BizCode", "SubCode"])
}

/// Whether a text is a known phrase of anything but the best result of the operation.
fn contradicts(text: &str, operation: Operation) -> bool {
    let text = bare(text);
    let (best, others) = match operation {
        Operation::CardInfo => (&PHRASES.found, &PHRASES.matched),
        _ => (&PHRASES.matched, &PHRASES.found),
    };
    !best.contains(&text) && (others.contains(&text) || PHRASES.rest.contains(&text))
}

struct Phrases {
    matched: BTreeSet<String>,
    found: BTreeSet<String>,
    rest: BTreeSet<String>,
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    let published: serde_json::Value =
        serde_json::from_str(include_str!("../data/result_codes.json")).unwrap();
    let mut phrases = Phrases {
        matched: BTreeSet::new(),
        found: BTreeSet::new(),
        rest: BTreeSet::new(),
    };
    for (result, texts) in published["phrases"].as_object().unwrap() {
        for text in texts.as_array().unwrap() {
            let set = match result.as_str() {
                "MATCH" => &mut phrases.matched,
                "FOUND" => &mut phrases.found,
                _ => &mut phrases.rest,
            };
            set.insert(bare(text.as_str().unwrap()));
        }
    }
    assert!(!phrases.matched.is_empty() && !phrases.found.is_empty() && phrases.rest.len() > 30);
    phrases
});

/// Without blanks, letter case and final punctuation.
fn bare(text: &str) -> String {
    let lower: String = text
        .split_whitespace()
        .flat_map(str::chars)
        .flat_map(char::to_lowercase)
        .collect();
    lower
        .trim_end_matches([
            '.', '。', '!', '！', ',', '，', ';', '；', '?', '？', ':', '：', '、', '．', '…',
        ])
        .to_owned()
}

/// JSON with every member of every object.
enum Tree {
    Null,
    True,
    False,
    /// The integer 0, written so.
    Zero,
    Number,
    Text(String),
    List,
    Object(Members),
}

struct Members(Vec<(String, Tree)>);

impl Members {
    fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|(key, _)| key == name).count()
    }

    fn count_in_any_case(&self, name: &str) -> usize {
        let lower = name.to_ascii_lowercase();
        let same = |key: &String| key.to_ascii_lowercase() == lower;
        self.0.iter().filter(|(key, _)| same(key)).count()
    }

    fn none_twice(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.count(name) < 2)
    }

    fn one(&self, name: &str) -> Option<&Tree> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree, E> {
        Ok(if value { Tree::True } else { Tree::False })
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Tree, E> {
        // zero comes as an unsigned number
        Ok(Tree::Number)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree, E> {
        Ok(if value == 0 { Tree::Zero } else { Tree::Number })
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Number)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        while items.next_element::<Tree>()?.is_some() {}
        Ok(Tree::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(Members(members)))
    }
}
