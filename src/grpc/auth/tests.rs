#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use http::HeaderValue;
use rcgen::{CertificateParams, KeyPair, SanType};
use rstest::rstest;

use super::*;

fn settings(token: &str, san: &[&str]) -> ClientSettings {
    ClientSettings {
        token_sha256: vec![Sha256::digest(token).into()],
        san: san.iter().map(ToString::to_string).collect(),
        may_verify: true,
        may_query_card_info: false,
        providers: None,
        allow_bypass: false,
        requests_per_second: None,
        concurrent: None,
        daily_budget: None,
    }
}

fn callers(mode: AuthMode) -> Callers {
    let clients = [
        ("first", settings("one", &["first.svc", "spiffe://x/first"])),
        ("second", settings("two", &["second.svc"])),
    ];
    Callers::new(
        mode,
        &clients.map(|(name, it)| (name.to_owned(), it)).into(),
    )
}

fn name_of(found: Result<Option<Arc<Client>>, Reason>) -> Result<String, Reason> {
    found.map(|client| client.unwrap().caller.name.to_string())
}

#[rstest]
#[case(&[], Err(Reason::CredentialsMissing))]
#[case(&["Bearer one"], Ok("first"))]
#[case(&["bEARER two"], Ok("second"))]
#[case(&["Bearer three"], Err(Reason::CredentialsInvalid))]
#[case(&["Bearer "], Err(Reason::CredentialsInvalid))]
#[case(&["Bearer"], Err(Reason::CredentialsInvalid))]
#[case(&[""], Err(Reason::CredentialsInvalid))]
#[case(&["Bearer one "], Err(Reason::CredentialsInvalid))]
#[case(&["Bearer  one"], Err(Reason::CredentialsInvalid))]
#[case(&["Basic one"], Err(Reason::CredentialsInvalid))]
#[case(&["one"], Err(Reason::CredentialsInvalid))]
// whichever of them a proxy in front looked at, it may have been the other
#[case(&["Bearer one", "Bearer one"], Err(Reason::CredentialsInvalid))]
fn tokens(#[case] headers: &[&str], #[case] expected: Result<&str, Reason>) {
    let mut map = HeaderMap::new();
    for header in headers {
        map.append(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
    }
    let callers = callers(AuthMode::Token);
    let found = name_of(callers.identify(&map, None));
    assert_eq!(found, expected.map(str::to_owned));
}

fn peer(names: &[SanType]) -> PeerNames {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = names.to_vec();
    let key = KeyPair::generate().unwrap();
    PeerNames::of(params.self_signed(&key).unwrap().der())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn mail(name: &str) -> SanType {
    SanType::Rfc822Name(name.try_into().unwrap())
}

#[rstest]
#[case(&[dns("first.svc")], Ok("first"))]
#[case(&[uri("spiffe://x/first")], Ok("first"))]
#[case(&[dns("other.svc"), dns("second.svc")], Ok("second"))]
#[case(&[dns("first.svc"), uri("spiffe://x/first")], Ok("first"))]
#[case(&[], Err(Reason::CredentialsInvalid))]
#[case(&[dns("other.svc")], Err(Reason::CredentialsInvalid))]
#[case(&[dns("a.first.svc")], Err(Reason::CredentialsInvalid))]
#[case(&[dns("*.svc")], Err(Reason::CredentialsInvalid))]
#[case(&[uri("spiffe://x/first/")], Err(Reason::CredentialsInvalid))]
#[case(&[dns("spiffe://x/first")], Err(Reason::CredentialsInvalid))]
#[case(&[uri("first.svc")], Err(Reason::CredentialsInvalid))]
#[case(&[mail("first.svc")], Err(Reason::CredentialsInvalid))]
#[case(&[dns("first.svc"), dns("second.svc")], Err(Reason::CredentialsInvalid))]
fn certificates(#[case] names: &[SanType], #[case] expected: Result<&str, Reason>) {
    let callers = callers(AuthMode::Mtls);
    let peer = peer(names);
    let found = name_of(callers.identify(&HeaderMap::new(), Some(&peer)));
    assert_eq!(found, expected.map(str::to_owned));
}

#[test]
fn a_certificate_is_no_token_and_a_token_no_certificate() {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer one"));
    let found = callers(AuthMode::Mtls);
    let found = name_of(found.identify(&headers, None));
    assert_eq!(found, Err(Reason::CredentialsMissing));
    let found = callers(AuthMode::Token);
    let found = name_of(found.identify(&HeaderMap::new(), Some(&peer(&[dns("first.svc")]))));
    assert_eq!(found, Err(Reason::CredentialsMissing));
}

#[rstest]
#[case("/bankcard.v1.BankCardService/VerifyBankCard", Ok(()))]
#[case(
    "/bankcard.v1.BankCardService/QueryCardInfo",
    Err("METHOD_NOT_ALLOWED")
)]
// the service itself says that there is no such method
#[case("/bankcard.v1.BankCardService/Other", Ok(()))]
fn methods(#[case] path: &str, #[case] expected: Result<(), &str>) {
    let client = Client::new("first", &settings("one", &[]), None);
    let admitted = client.admit(Method::of(path), Instant::now()).map(|_| ());
    assert_eq!(admitted.map_err(|denial| denial.reason_name()), expected);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_place_is_not_counted_for_its_second() {
    let settings = ClientSettings {
        requests_per_second: Some(2),
        concurrent: Some(1),
        ..settings("one", &[])
    };
    let client = Client::new("first", &settings, None);
    let first = client.admit(None, Instant::now()).unwrap();
    assert!(first.is_some());
    for _ in 0..10 {
        assert!(client.admit(None, Instant::now()).is_err());
    }
    drop(first);
    drop(client.admit(None, Instant::now()).unwrap());
    // and one that was refused for its second holds no place
    assert!(client.admit(None, Instant::now()).is_err());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(client.admit(None, Instant::now()).is_ok());
}

fn with_token(callers: &Callers, token: &str) -> Result<Option<Arc<Client>>, Reason> {
    let mut headers = HeaderMap::new();
    let value = format!("Bearer {token}");
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
    callers.identify(&headers, None)
}

#[test]
fn who_stays_a_caller_keeps_its_counts_and_who_goes_is_gone() {
    let limited = |rate, calls| ClientSettings {
        requests_per_second: Some(rate),
        concurrent: Some(calls),
        ..settings("one", &[])
    };
    let only = |name: &str, it| BTreeMap::from([(name.to_owned(), it)]);
    let callers = Callers::new(AuthMode::Token, &only("first", limited(1, 1)));
    let before = with_token(&callers, "one").unwrap().unwrap();
    let place = before.admit(None, Instant::now());
    assert!(place.is_ok() && before.admit(None, Instant::now()).is_err());
    drop(place);

    // the rate is as it was, and so is what was used of it
    callers.replace(&only("first", limited(1, 2)));
    let same = with_token(&callers, "one").unwrap().unwrap();
    assert!(same.admit(None, Instant::now()).is_err());
    // another rate begins anew
    callers.replace(&only("first", limited(2, 2)));
    let faster = with_token(&callers, "one").unwrap().unwrap();
    assert!(faster.admit(None, Instant::now()).is_ok());

    callers.replace(&only("second", settings("two", &[])));
    let gone = Err(Reason::CredentialsInvalid);
    assert_eq!(name_of(with_token(&callers, "one")), gone);
    let new = name_of(with_token(&callers, "two"));
    assert_eq!(new, Ok("second".to_owned()));
}
