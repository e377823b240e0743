//! Authentication: which tokens are accepted.

#![expect(clippy::unwrap_used, reason = "what a helper can't do fails its test")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::auth::{Auth, AuthError, Caller, DevKey, Grant, Holder, ISSUER, JwtSettings, KeySource};
use chassis::auth::{Roles, Signer, Trust, Verifier};
use chassis::clock::Timestamp;
use contracts::Role;
use http::HeaderMap;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const RSA: &[u8] = include_bytes!("keys/rsa.pem");
const EC: &[u8] = include_bytes!("keys/ec.pem");
const IDP: &str = "https://idp.example";
const AUDIENCE: &str = "nadeuri";
const NOW_SECONDS: i64 = 1_800_000_000;
/// The clock skew that is allowed, in seconds.
const LEEWAY: u64 = 30;
const NOW: Timestamp = Timestamp::from_micros(NOW_SECONDS * 1_000_000);

/// A key of the identity provider.
struct Key {
    id: &'static str,
    algorithm: Algorithm,
    secret: EncodingKey,
}

impl Key {
    fn rsa() -> Key {
        Key { id: "rsa-1", algorithm: Algorithm::RS256, secret: EncodingKey::from_rsa_pem(RSA).unwrap() }
    }

    fn ec() -> Key {
        Key { id: "ec-1", algorithm: Algorithm::ES256, secret: EncodingKey::from_ec_pem(EC).unwrap() }
    }

    fn public(&self) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&self.secret, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        jwk
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.secret).unwrap()
    }
}

fn claims() -> Value {
    json!({ "iss": IDP, "aud": AUDIENCE, "sub": "customer-1", "exp": NOW_SECONDS + 60, "roles": ["customer", "stranger"] })
}

/// The claims of a good token with one of them changed; `null` takes it away.
fn claims_but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name)
    } else {
        members.insert(name.to_owned(), value)
    };
    claims
}

async fn verifier_of(trust: Vec<Trust>, roles_claim: &str) -> Verifier {
    let settings = JwtSettings { trust, audience: AUDIENCE.to_owned(), roles_claim: roles_claim.to_owned() };
    Verifier::start(settings).await.unwrap()
}

fn idp() -> Trust {
    let keys = vec![Key::rsa().public(), Key::ec().public()];
    trust(keys, customers())
}

/// What is proved by tokens of the identity provider.
fn customers() -> Grant {
    Grant { roles: Roles::named(["customer"]), ..Grant::of(IDP) }
}

fn trust(keys: Vec<Jwk>, grant: Grant) -> Trust {
    Trust { issuer: IDP.to_owned(), keys: KeySource::Given(JwkSet { keys }), holder: Holder::Anybody, grant }
}

async fn verifier() -> Verifier {
    verifier_of(vec![idp()], "roles").await
}

/// A folder of its own for a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test]
async fn a_valid_token_has_the_caller_and_its_roles() {
    let verifier = verifier().await;
    for key in [Key::rsa(), Key::ec()] {
        let token = key.sign(&claims());
        for _ in ["checked", "remembered"] {
            let caller = verifier.verify(&token, NOW).unwrap();
            assert!(
                caller.is("https://idp.example#customer-1") && caller.has(Role::Customer) && !caller.has(Role::Admin)
            );
        }
    }
}

#[tokio::test]
async fn a_token_for_another_audience_or_from_another_issuer_is_refused() {
    let verifier = verifier().await;
    let refusal = |name, value| verifier.verify(&Key::rsa().sign(&claims_but(name, value)), NOW).unwrap_err();
    assert_eq!(refusal("iss", json!("https://evil.example")), AuthError::Issuer);
    assert_eq!(refusal("aud", json!("another")), AuthError::Audience);
    assert_eq!(refusal("aud", json!(["another", "and-another"])), AuthError::Audience);
    assert_eq!(refusal("sub", json!("")), AuthError::Subject);
    assert_eq!(refusal("sub", json!("a\nb")), AuthError::Subject);
    for claim in ["iss", "aud", "sub", "exp"] {
        assert_eq!(refusal(claim, Value::Null), AuthError::Malformed, "without {claim}");
    }
}

#[tokio::test]
async fn a_token_is_valid_from_its_start_to_its_expiry_with_30_seconds_of_clock_skew() {
    let verifier = verifier().await;
    let token = Key::ec().sign(&claims_but("nbf", json!(NOW_SECONDS)));
    let at = |seconds: i64| Timestamp::from_micros((NOW_SECONDS + seconds) * 1_000_000);
    assert_eq!(verifier.verify(&token, at(-31)), Err(AuthError::NotYetValid));
    assert!(verifier.verify(&token, at(-30)).is_ok());
    assert!(verifier.verify(&token, at(89)).is_ok());
    assert_eq!(verifier.verify(&token, at(90)), Err(AuthError::Expired), "although it is remembered");
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let verifier = verifier().await;
    let token = Key::rsa().sign(&claims());
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let better = Key::rsa().sign(&claims_but("roles", json!(["admin"])));
    let better = better.split('.').nth(1).unwrap();
    assert_eq!(verifier.verify(&format!("{header}.{better}.{signature}"), NOW), Err(AuthError::Signature));

    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    for forged in
        [format!("{none}.{payload}."), format!("{none}.{payload}.{signature}"), format!("{header}.{payload}.")]
    {
        assert!(verifier.verify(&forged, NOW).is_err(), "{forged}");
    }
    for nonsense in ["", ".", "..", "a.b.c", "a.b", &"x".repeat(100_000)] {
        assert_eq!(verifier.verify(nonsense, NOW), Err(AuthError::Malformed));
    }
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let verifier = verifier().await;
    let public = serde_json::to_vec(&Key::rsa().public()).unwrap();
    let forger = Key { id: "rsa-1", algorithm: Algorithm::HS256, secret: EncodingKey::from_secret(&public) };
    assert_eq!(verifier.verify(&forger.sign(&claims()), NOW), Err(AuthError::Algorithm));
}

#[tokio::test]
async fn a_key_proves_only_tokens_of_its_own_issuer() {
    let folder = folder("foreign");
    let signer = Signer::open(&DevKey::open_or_create(&folder).unwrap().key, AUDIENCE).unwrap();
    let verifier = verifier_of(vec![idp(), signer.trust(Holder::Anybody)], "roles").await;
    let forged = Key::rsa().sign(&claims_but("iss", json!(ISSUER)));
    assert_eq!(verifier.verify(&forged, NOW), Err(AuthError::UnknownKey));
}

#[tokio::test]
async fn subjects_of_two_issuers_are_two_callers_and_each_issuer_gives_only_its_roles() {
    const OTHER: &str = "https://other.example";
    let staff = Grant { roles: Roles::named(["admin", "service"]), prefix: "staff-".to_owned() };
    let other = Trust {
        issuer: OTHER.to_owned(),
        keys: KeySource::Given(JwkSet { keys: vec![Key::ec().public()] }),
        holder: Holder::Anybody,
        grant: staff,
    };
    let verifier = verifier_of(vec![trust(vec![Key::rsa().public()], customers()), other], "roles").await;
    let roles = json!(["customer", "admin", "service"]);
    let of = |key: Key, issuer: &str| {
        let mut claims = claims_but("roles", roles.clone());
        claims["iss"] = json!(issuer);
        verifier.verify(&key.sign(&claims), NOW).unwrap()
    };
    let (customer, admin) = (of(Key::rsa(), IDP), of(Key::ec(), OTHER));
    assert_eq!((customer.subject(), customer.roles()), ("https://idp.example#customer-1", Roles::named(["customer"])));
    assert_eq!((admin.subject(), admin.roles()), ("staff-customer-1", Roles::named(["admin"])), "none grants service");
}

#[tokio::test]
async fn an_issuer_without_a_prefix_can_not_name_subjects_of_others() {
    let bare = Grant { prefix: String::new(), ..customers() };
    let other = "https://other.example";
    let keys = KeySource::Given(JwkSet { keys: vec![Key::ec().public()] });
    let other = Trust { issuer: other.to_owned(), keys, holder: Holder::Anybody, grant: Grant::of(other) };
    let verifier = verifier_of(vec![trust(vec![Key::rsa().public()], bare), other], "roles").await;
    let verify = |sub: &str| verifier.verify(&Key::rsa().sign(&claims_but("sub", json!(sub))), NOW);
    assert!(verify("mina").unwrap().is("mina"));
    assert_eq!(verify("https://other.example#mina"), Err(AuthError::Subject));
}

#[tokio::test]
async fn without_a_key_id_the_only_key_for_the_algorithm_is_meant() {
    let verifier = verifier().await;
    let sign = |header, key: &Key| encode(&header, &claims(), &key.secret).unwrap();
    assert!(verifier.verify(&sign(Header::new(Algorithm::RS256), &Key::rsa()), NOW).is_ok());

    let (one, other) = (Key::rsa().public(), Key { id: "rsa-2", ..Key::rsa() }.public());
    let verifier = verifier_of(vec![trust(vec![one, other], customers())], "roles").await;
    assert_eq!(verifier.verify(&sign(Header::new(Algorithm::RS256), &Key::rsa()), NOW), Err(AuthError::UnknownKey));
    let critical =
        Header { crit: Some(vec!["b64".into()]), kid: Some("rsa-1".into()), ..Header::new(Algorithm::RS256) };
    assert_eq!(verifier.verify(&sign(critical, &Key::rsa()), NOW), Err(AuthError::Malformed));
}

#[tokio::test]
async fn roles_can_be_read_from_where_the_issuer_puts_them() {
    let grant = Grant { roles: Roles::named(["admin"]), ..customers() };
    let verifier = verifier_of(vec![Trust { grant, ..idp() }], "/realm_access/roles").await;
    let claims = claims_but("realm_access", json!({ "roles": ["admin"] }));
    let caller = verifier.verify(&Key::ec().sign(&claims), NOW).unwrap();
    assert!(caller.has(Role::Admin) && !caller.has(Role::Customer));
}

#[tokio::test]
async fn the_token_comes_in_the_authorization_header() {
    let auth = Auth::Jwt(verifier().await);
    let caller = |value: &str| {
        let headers: HeaderMap = [("authorization".parse().unwrap(), value.parse().unwrap())].into_iter().collect();
        auth.caller(&headers, NOW)
    };
    let token = Key::rsa().sign(&claims());
    assert!(caller(&format!("Bearer {token}")).is_ok() && caller(&format!("bearer  {token}")).is_ok());
    assert_eq!(caller(&format!("Basic {token}")), Err(AuthError::Missing));
    assert_eq!(caller(&token), Err(AuthError::Missing));
    assert_eq!(auth.caller(&HeaderMap::new(), NOW), Err(AuthError::Missing));
    let believed: HeaderMap = [("x-user".parse().unwrap(), "admin".parse().unwrap())].into_iter().collect();
    assert_eq!(
        auth.caller(&believed, NOW),
        Err(AuthError::Missing),
        "headers are not trusted where tokens are required"
    );
}

#[tokio::test]
async fn a_developers_key_is_made_once_and_is_secret() {
    let folder = folder("dev-key");
    let key = DevKey::open_or_create(&folder).unwrap();
    let secret = std::fs::read(&key.key).unwrap();
    let signer = Signer::open(&DevKey::open_or_create(&folder).unwrap().key, AUDIENCE).unwrap();
    assert_eq!(std::fs::read(&key.key).unwrap(), secret);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key.key).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let trust = format!("{ISSUER}={}", key.jwks.display()).parse().unwrap();
    let verifier = verifier_of(vec![trust], "roles").await;
    let roles = Roles::named(["customer", "admin"]);
    let token = signer.token("dev-1", roles, Duration::from_secs(60), NOW).unwrap();
    assert_eq!(
        verifier.verify(&token, NOW),
        Ok(Caller::new("dev-1", roles).unwrap().until(NOW + Duration::from_secs(60 + LEEWAY)))
    );
    assert!(signer.token("", roles, Duration::from_secs(60), NOW).is_err());
    assert!(!format!("{signer:?}").contains("EncodingKey"));
}

#[tokio::test]
async fn a_context_signs_its_calls_and_keeps_the_token_while_it_is_good() {
    let folder = folder("service");
    let signer = Signer::open(&DevKey::open_or_create(&folder).unwrap().key, AUDIENCE).unwrap();
    let verifier = verifier_of(vec![signer.trust(Holder::Anybody)], "roles").await;
    let first = signer.service_authorization("rental", "payment", NOW).unwrap();
    assert_eq!(first, signer.service_authorization("rental", "payment", NOW + Duration::from_secs(239)).unwrap());
    assert_ne!(first, signer.service_authorization("fleet", "payment", NOW).unwrap());
    assert_ne!(first, signer.service_authorization("rental", "payment", NOW + Duration::from_secs(240)).unwrap());
    assert_ne!(first, signer.service_authorization("rental", "wallet", NOW).unwrap());
    assert!(!format!("{first:?}").contains("ey"), "a token must not be logged");
    let token = first.to_str().unwrap().strip_prefix("Bearer ").unwrap();
    assert_eq!(
        verifier.verify(token, NOW),
        Ok(Caller::service("rental").calling("payment").until(NOW + Duration::from_secs(300 + LEEWAY)))
    );
}

#[tokio::test]
async fn a_token_is_either_one_of_a_context_for_another_one_or_has_the_other_roles() {
    let folder = folder("either");
    let signer = Signer::open(&DevKey::open_or_create(&folder).unwrap().key, AUDIENCE).unwrap();
    let verifier = verifier_of(vec![signer.trust(Holder::Anybody), idp()], "roles").await;
    let token = signer.token("rental", Roles::all(), Duration::from_secs(60), NOW).unwrap();
    let caller = verifier.verify(&token, NOW).unwrap();
    assert_eq!((caller.callee(), caller.roles()), (None, Roles::all().without(Role::Service)));
    let for_context = Key::rsa().sign(&claims_but("aud", json!("nadeuri/payment")));
    assert_eq!(verifier.verify(&for_context, NOW), Err(AuthError::Audience), "only the product's own key signs those");
}

#[tokio::test]
async fn a_key_made_by_openssl_can_sign() {
    // `openssl genpkey -algorithm ed25519`: PKCS #8 without the public key.
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    let path = folder("openssl").join("key.pem");
    std::fs::write(&path, pem).unwrap();
    let signer = Signer::open(&path, AUDIENCE).unwrap();
    let token = signer.token("a", Roles::all(), Duration::from_secs(60), NOW).unwrap();
    assert!(verifier_of(vec![signer.trust(Holder::Anybody)], "roles").await.verify(&token, NOW).is_ok());

    std::fs::write(&path, RSA).unwrap();
    let error = Signer::open(&path, AUDIENCE).unwrap_err().to_string();
    assert!(error.contains("not an Ed25519 key") && error.contains("openssl genpkey"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn new_keys_are_found_and_withdrawn_ones_forgotten() {
    let path = folder("rotation").join("jwks.json");
    let publish = |keys| std::fs::write(&path, serde_json::to_vec(&JwkSet { keys }).unwrap()).unwrap();
    publish(vec![Key::rsa().public()]);
    let verifier = verifier_of(vec![format!("{IDP}={}", path.display()).parse().unwrap()], "roles").await;
    let (old, new) = (Key::rsa().sign(&claims()), Key::ec().sign(&claims()));
    assert!(verifier.verify(&old, NOW).is_ok());

    publish(vec![Key::ec().public()]);
    assert_eq!(verifier.verify(&new, NOW), Err(AuthError::UnknownKey));
    let began = tokio::time::Instant::now();
    while verifier.verify(&new, NOW).is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let waited = began.elapsed();
    assert!(
        (Duration::from_secs(59)..Duration::from_secs(63)).contains(&waited),
        "once a minute, not after {waited:?}"
    );
    assert_eq!(verifier.verify(&old, NOW), Err(AuthError::UnknownKey), "although it was remembered");

    std::fs::write(&path, "no JSON").unwrap();
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert!(verifier.verify(&new, NOW).is_ok(), "what can't be read changes nothing");
}

#[tokio::test]
async fn keys_come_from_a_url() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let body = serde_json::to_string(&JwkSet { keys: vec![Key::rsa().public()] }).unwrap();
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        assert_ne!(stream.read(&mut request).await.unwrap(), 0);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let verifier = verifier_of(vec![format!("{IDP}={url}").parse().unwrap()], "roles").await;
    assert!(verifier.verify(&Key::rsa().sign(&claims()), NOW).is_ok());
    serve.await.unwrap();
}

#[tokio::test]
async fn keys_that_can_not_be_read_stop_the_start_with_their_reason() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let empty = folder("keys").join("empty.json");
    std::fs::write(&empty, r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"OKP","crv":"Ed25519","x":"c2hvcnQ"}]}"#)
        .unwrap();
    for (trust, says) in [
        (format!("{IDP}=http://{closed}/jwks"), "refused"),
        (format!("{IDP}=http://me:s3cret@{closed}/jwks?key=s3cret"), "refused"),
        (format!("{IDP}=/nowhere/jwks.json"), "/nowhere/jwks.json can't be read"),
        (format!("{IDP}={}", empty.display()), "have none for RS256"),
    ] {
        let settings = JwtSettings {
            trust: vec![trust.parse().unwrap()],
            audience: AUDIENCE.to_owned(),
            roles_claim: "roles".to_owned(),
        };
        let error = Verifier::start(settings).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    assert!("no-keys".parse::<Trust>().is_err() && "=file".parse::<Trust>().is_err());
}
