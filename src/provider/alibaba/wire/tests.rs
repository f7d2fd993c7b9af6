//! Queries; digests were computed with another program.

use rstest::rstest;

use super::*;
use crate::{
    domain::Factors,
    provider::testing::{question, question_with},
};

fn query(
    factors: Factors,
    product: AlibabaProduct,
    param_type: AlibabaParamType,
    identity_type: Option<&str>,
) -> String {
    verification_query(&question(factors), product, param_type, identity_type).to_string()
}

#[rstest]
#[case(
    Factors::Two,
    "BankCard=6222020000000000000&ParamType=normal&ProductCode=BANK_CARD_N_META\
     &ProductType=BANK_CARD_2_META&UserName=%E5%BC%A0%E4%B8%89&VerifyMode=VERIFY_BANK_CARD"
)]
#[case(
    Factors::Three,
    "BankCard=6222020000000000000&IdentifyNum=11010519491231002X&ParamType=normal\
     &ProductCode=BANK_CARD_N_META&ProductType=BANK_CARD_3_META&UserName=%E5%BC%A0%E4%B8%89\
     &VerifyMode=VERIFY_BANK_CARD"
)]
#[case(
    Factors::Four,
    "BankCard=6222020000000000000&IdentifyNum=11010519491231002X&Mobile=13800138000\
     &ParamType=normal&ProductCode=BANK_CARD_N_META&ProductType=BANK_CARD_4_META\
     &UserName=%E5%BC%A0%E4%B8%89&VerifyMode=VERIFY_BANK_CARD"
)]
fn the_international_query(#[case] factors: Factors, #[case] expected: &str) {
    let (product, plain) = (AlibabaProduct::Intl, AlibabaParamType::Normal);
    assert_eq!(query(factors, product, plain, None), expected);
    // the mainland has no product code
    let without = expected.replace("&ProductCode=BANK_CARD_N_META", "");
    assert_eq!(
        query(factors, AlibabaProduct::Mainland, plain, None),
        without
    );
}

#[test]
fn the_digests_stand_in_the_vendors_places() {
    let query = query(
        Factors::Four,
        AlibabaProduct::Intl,
        AlibabaParamType::Md5,
        None,
    );
    let mut parameters = query.split('&').map(|pair| pair.split_once('=').unwrap());
    let mut value = |name| parameters.find(|(key, _)| *key == name).unwrap().1;
    assert_eq!(
        value("BankCard"),
        "6222020000000670b14728ad9902aecba32e22fa4f6bd"
    );
    assert_eq!(
        value("IdentifyNum"),
        "110105f8817a477938df5a3e7763cadc5a9abb002X"
    );
    assert_eq!(value("Mobile"), "7945bd83237335e5376ff44d62e4f0ae");
    assert_eq!(value("ParamType"), "md5");
    assert_eq!(
        value("UserName"),
        "6499fc7409049355527ef6a2ba5706b8%E4%B8%89"
    );
}

#[test]
fn other_documents_hide_their_last_two_characters() {
    let permit = question_with(Factors::Three, IdentityType::HkMacaoPermit, "H1234567890");
    let query = verification_query(
        &permit,
        AlibabaProduct::Intl,
        AlibabaParamType::Md5,
        Some("03"),
    );
    assert!(query.contains(
        "&IdentifyNum=H123456788613985ec49eb8f757ae6439e879bb2a&IdentityType=03&ParamType=md5&"
    ));
}

#[test]
fn everything_but_the_unreserved_characters_is_encoded() {
    let raw = "AZaz09-_.~ !\"#$%&'()*+,/:;<=>?@[\\]^`{|}\u{b7}\n";
    let encoded = canonical_query(&[("a", ""), ("b", raw)]);
    assert_eq!(
        *encoded,
        "a=&b=AZaz09-_.~%20%21%22%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3C%3D%3E%3F%40%5B%5C%5D\
         %5E%60%7B%7C%7D%C2%B7%0A"
    );
}
